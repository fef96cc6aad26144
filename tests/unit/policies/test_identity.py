"""Default tags, which are settings of the stack file and not of a resource."""

import pytest

from policies.view import UNKNOWN
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


def node_class(tags):
    return resource("kubernetes:eks.amazonaws.com/v1:NodeClass", spec={"tags": tags})


def ingress_class(tags):
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    return resource("kubernetes:eks.amazonaws.com/v1:IngressClassParams", spec={"tags": pairs})


def storage_class(tags, provisioner="ebs.csi.eks.amazonaws.com"):
    pairs = enumerate(tags.items())
    parameters = {f"tagSpecification_{n}": f"{key}={value}" for n, (key, value) in pairs}
    type = "kubernetes:storage.k8s.io/v1:StorageClass"
    return resource(type, provisioner=provisioner, parameters={"type": "gp3", **parameters})


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (node_class, "spec.tags"),
        (ingress_class, "spec.tags"),
        (storage_class, "parameters.tagSpecification_*"),
    ],
)
def test_what_eks_creates_carries_the_default_tags(make, path):
    partly = {**TAGS, "stack": "other", "cost-center": "1"}
    (breach,) = findings("default-tags-required", resource(KMS_KEY), make(partly))

    assert breach.what == f"{path} lack stack of aws:defaultTags"
    assert findings("default-tags-required", resource(KMS_KEY), make(TAGS)) == []
    (without,) = findings("default-tags-required", resource(KMS_KEY), make({}))
    assert without.what == f"{path} lack managed-by, project, stack of aws:defaultTags"


@pytest.mark.parametrize(
    "untagged", [node_class(UNKNOWN), storage_class({}, "rancher.io/local-path")]
)
def test_unknown_tags_and_other_storage_comply(untagged):
    assert findings("default-tags-required", resource(KMS_KEY), untagged) == []


@pytest.mark.parametrize(("type", "tags"), [(KMS_KEY, TAGS), (CONFIG_MAP, {})])
def test_all_tags_or_no_aws_resource_comply(type, tags):
    assert findings("default-tags-required", resource(type), tags=tags) == []
