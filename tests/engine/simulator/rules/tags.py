"""Tags, which nearly every type has."""

from collections.abc import Iterator

from tests.engine.simulator.rules.rule import Inputs, rule
from tests.engine.simulator.schema import Refusal

_SOURCE = "https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"
MOST = 50


def _tags(inputs: Inputs) -> Inputs:
    tags = inputs.get("tags")
    return tags if isinstance(tags, dict) else {}


@rule(source=_SOURCE)
def tag_keys(inputs: Inputs) -> Iterator[Refusal]:
    for key in _tags(inputs):
        if not 1 <= len(key) <= 128:
            yield Refusal("tags", f"a key should have 1 to 128 characters, got {len(key)}")


@rule(source=_SOURCE)
def tag_keys_of_aws(inputs: Inputs) -> Iterator[Refusal]:
    for key in _tags(inputs):
        if key.lower().startswith("aws:"):
            yield Refusal("tags", f"keys that start with aws: belong to AWS, got {key!r}")


@rule(source=_SOURCE)
def tag_values(inputs: Inputs) -> Iterator[Refusal]:
    for key, value in _tags(inputs).items():
        if isinstance(value, str) and len(value) > 256:
            yield Refusal(
                "tags", f"a value should have 256 characters at most: {key!r} has {len(value)}"
            )


@rule(source=_SOURCE)
def tags_are_few(inputs: Inputs) -> Iterator[Refusal]:
    if len(_tags(inputs)) > MOST:
        yield Refusal("tags", f"should be {MOST} at most, got {len(_tags(inputs))}")
