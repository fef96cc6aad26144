import json
from dataclasses import replace

import pytest

from tests.scan import cloudformation
from tests.unit.stacks.committed import every_aws_stack


@pytest.fixture
def resources(stack):
    """The resources of a template: properties by logical name."""

    def translated(name):
        found = cloudformation.template(stack(name)[0])["Resources"]
        return {logical: each["Properties"] for logical, each in found.items()}

    return translated


@every_aws_stack
def test_every_aws_resource_of_the_stacks_is_translated(resources, name):
    found = resources(name)

    assert found["DatabaseInstanceInstance"]["Engine"] == "postgres"
    assert found["ClusterEksCluster"]["ResourcesVpcConfig"]["SubnetIds"]


def test_a_type_without_a_translation_is_an_error(stack):
    snapshot, _ = stack("dev")
    vpc = next(r for r in snapshot.resources.values() if r.type == "aws:ec2/vpc:Vpc")
    unknown = replace(vpc, type="aws:sqs/queue:Queue")
    changed = replace(snapshot, resources={unknown.urn: unknown})

    with pytest.raises(cloudformation.Untranslated, match="aws:sqs/queue:Queue: add it to TYPES"):
        cloudformation.template(changed)


def test_references_name_the_resource_of_the_right_type(resources):
    found = resources("prod")

    nat = found["NetworkNat0NatGateway"]
    assert nat["SubnetId"] == {"Ref": "NetworkPublic0Subnet"}
    assert nat["AllocationId"] == {"Fn::GetAtt": ["NetworkNat0Eip", "AllocationId"]}
    rule = found["DatabaseFromClientsSecurityGroupIngressRule"]
    group = {"Fn::GetAtt": ["ClusterEksCluster", "ClusterSecurityGroupId"]}
    assert rule["SourceSecurityGroupId"] == group


@every_aws_stack
def test_logical_ids_have_only_letters_and_digits(resources, name):
    assert [logical for logical in resources(name) if not logical.isalnum()] == []
    assert cloudformation._logical_id("a_b:role/c", "aws:t:T") == "ABRoleCT"


def test_a_bucket_has_the_configurations_that_pulumi_declares(resources):
    bucket = resources("prod")["LogsBucketBucket"]

    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 365
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]


def test_the_scanned_load_balancer_has_the_declared_attributes(resources):
    attributes = resources("prod")["LoadBalancerParametersIngressClassParams"][
        "LoadBalancerAttributes"
    ]

    assert {"Key": "access_logs.s3.enabled", "Value": "true"} in attributes


def test_no_generated_password_is_in_the_template(stack):
    snapshot, _ = stack("prod")

    text = json.dumps(cloudformation.template(snapshot))
    assert "database-password-1" not in text
    assert cloudformation.SECRET in text
