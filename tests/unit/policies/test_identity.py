"""Default tags, which are settings of the stack file and not of a resource."""

import pytest

from tests.unit.policies.resources import CONFIG_MAP, KMS_KEY, TAGS, findings, resource


@pytest.mark.parametrize(
    ("tag", "value", "found", "fix"),
    [
        ("project", None, "is not set", "Set it"),
        ("managed-by", None, "is not set", "Set it"),
        ("stack", None, "is not set", "Set it to mine"),
        ("stack", "prod", 'is "prod"', "Set it to mine"),
    ],
)
def test_a_missing_or_wrong_default_tag_is_a_breach(tag, value, found, fix):
    tags = {key: text for key, text in {**TAGS, tag: value}.items() if text}
    (breach,) = findings("default-tags-required", resource(KMS_KEY), tags=tags)

    assert breach.resource == "Pulumi.mine.yaml"
    assert breach.what == f"aws:defaultTags.tags.{tag} {found}"
    assert breach.fix == fix


@pytest.mark.parametrize(("type", "tags"), [(KMS_KEY, TAGS), (CONFIG_MAP, {})])
def test_all_tags_or_no_aws_resource_comply(type, tags):
    assert findings("default-tags-required", resource(type), tags=tags) == []
