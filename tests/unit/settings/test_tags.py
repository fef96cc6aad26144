import pulumi
import pytest

from ops.plan import mock_engine
from settings.tags import default_tags


@pytest.mark.parametrize(
    ("config", "tags"),
    [
        (
            {"aws:defaultTags": '{"tags": {"stack": "dev", "project": "a"}}'},
            {"stack": "dev", "project": "a"},
        ),
        ({"aws:defaultTags": "{}"}, {}),
        ({}, {}),
    ],
)
def test_the_tags_are_those_of_the_aws_provider(config, tags):
    found = mock_engine.run(
        lambda: pulumi.export("tags", default_tags()), stack="dev", project="p", config=config
    )

    assert found.exports["tags"] == tags
