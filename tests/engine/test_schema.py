import pytest

from tests.engine.simulator import schema
from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import UNKNOWN

VPC = "aws:ec2/vpc:Vpc"
INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)


@pytest.mark.parametrize(
    ("token", "inputs", "refused"),
    [
        (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": True}, []),
        (
            VPC,
            {"cidrBlok": "10.0.0.0/16"},
            [("cidrBlok", "no such property; did you mean cidrBlock?")],
        ),
        (VPC, {"zzz": 1}, [("zzz", "no such property")]),
        (
            VPC,
            {"enableDnsSupport": "yes"},
            [("enableDnsSupport", "should be true or false, got 'yes'")],
        ),
        (VPC, {"cidrBlock": 10}, [("cidrBlock", "should be a string, got 10")]),
        (VPC, {"tags": "a"}, [("tags", "should be a map, got 'a'")]),
        (VPC, {"tags": {"a": 1}}, [("tags.a", "should be a string, got 1")]),
        (
            INSTANCE,
            {"instanceClass": "c", "allocatedStorage": True},
            [("allocatedStorage", "should be an integer, got True")],
        ),
        (
            INSTANCE,
            {"instanceClass": "c", "allocatedStorage": 1.5},
            [("allocatedStorage", "should be an integer, got 1.5")],
        ),
        (
            INSTANCE,
            {"instanceClass": "c", "vpcSecurityGroupIds": "sg-1"},
            [("vpcSecurityGroupIds", "should be a list, got 'sg-1'")],
        ),
        (INSTANCE, {}, [("instanceClass", "is required")]),
        (
            PARAMETERS,
            {"family": "f", "parameters": ["a"]},
            [("parameters[0]", "should be an object, got 'a'")],
        ),
        (
            PARAMETERS,
            {"family": "f", "parameters": [{"name": "n"}]},
            [("parameters[0].value", "is required")],
        ),
        (ENCRYPTION, {"bucket": "b", "rules": [{}]}, []),
        (ENCRYPTION, {"bucket": "b"}, [("rules", "is required")]),
    ],
)
def test_inputs_are_checked_by_the_sdks_types(token, inputs, refused):
    assert schema.refused(token, inputs) == [Refusal(*one) for one in refused]


def test_an_unknown_value_matches_every_type():
    assert schema.refused(VPC, {"cidrBlock": UNKNOWN, "tags": {"a": UNKNOWN}}) == []


def test_internal_keys_of_the_engine_are_ignored():
    assert schema.refused(VPC, {"__defaults": []}) == []


@pytest.mark.parametrize("token", ["aws:ec2/vpcs:Vpcs", "aws:nowhere/a:A"])
def test_a_type_missing_in_the_sdk_is_an_error(token):
    with pytest.raises(LookupError, match="pulumi_aws has no type"):
        schema.refused(token, {})


def test_outputs_include_inputs_and_computed_properties():
    assert {"arn", "cidrBlock", "defaultSecurityGroupId"} <= schema.outputs(VPC)
    assert schema.takes(VPC, "tags")
    assert not schema.takes("aws:ec2/route:Route", "tags")
