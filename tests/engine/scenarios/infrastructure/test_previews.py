"""The first thing a platform engineer runs."""

import pytest

from tests.engine import previews

# What Pulumi itself says here: the test tools' Kubernetes provider is one release behind the SDK,
# and the simulated provider is attached, not installed.
OF_PULUMI = (
    "using pulumi-resource-",
    "resource plugin kubernetes is expected to have version",
    "Attaching debug",
    "You are currently using",
)


@pytest.mark.parametrize("name", previews.STACKS)
def test_a_preview_creates_what_was_reviewed_and_warns_of_nothing(deploy, charts, name):
    said = previews.preview(deploy(name, charts))

    reviewed = (previews.FOLDER / f"{name}.txt").read_text()
    assert previews.summary(said).splitlines() == reviewed.splitlines(), (
        "if it is meant: python -m tests.engine.previews, and review the difference"
    )
    own = [text for text in previews.warnings(said) if not any(p in text for p in OF_PULUMI)]
    assert own == []
