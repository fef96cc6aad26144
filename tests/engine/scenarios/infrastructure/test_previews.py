"""The first preview of each stack creates the reviewed resources, without warnings."""

import pytest

from tests.engine import previews

# Warnings of Pulumi in this setup: the Kubernetes provider of the test tools can be older than
# the SDK, and the simulated provider is attached, not installed.
EXPECTED_WARNINGS = (
    "using pulumi-resource-",
    "resource plugin kubernetes is expected to have version",
    "Attaching debug",
    "You are currently using",
    # docs/adr/0010-kubernetes-1.35.md
    "KEDA 2.17 was tested",
)


@pytest.mark.parametrize("name", previews.STACKS)
def test_a_first_preview_is_as_reviewed_without_warnings(deploy, charts, name):
    output = previews.preview(deploy(name, charts))

    reviewed = (previews.FOLDER / f"{name}.txt").read_text()
    assert previews.summary(output).splitlines() == reviewed.splitlines(), (
        "if intended: python -m tests.engine.previews, and review the diff"
    )
    warnings = [
        text for text in previews.warnings(output) if not any(p in text for p in EXPECTED_WARNINGS)
    ]
    assert warnings == []
