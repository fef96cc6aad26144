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
        (VPC, {"cidrBlok": "10.0.0.0/16"}, "cidrBlok no such property; did you mean cidrBlock?"),
        (VPC, {"zzz": 1}, "zzz no such property"),
        (VPC, {"enableDnsSupport": "yes"}, "enableDnsSupport should be true or false, got 'yes'"),
        (VPC, {"cidrBlock": 10}, "cidrBlock should be a string, got 10"),
        (VPC, {"tags": "a"}, "tags should be a map, got 'a'"),
        (VPC, {"tags": {"a": 1}}, "tags.a should be a string, got 1"),
        (INSTANCE, {"allocatedStorage": True}, "allocatedStorage should be an integer, got True"),
        (INSTANCE, {"allocatedStorage": 1.5}, "allocatedStorage should be an integer, got 1.5"),
        (INSTANCE, {"vpcSecurityGroupIds": "sg"}, "vpcSecurityGroupIds should be a list, got 'sg'"),
        (INSTANCE, {"instanceClass": None}, "instanceClass is required"),
        (PARAMETERS, {"parameters": ["a"]}, "parameters[0] should be an object, got 'a'"),
        (PARAMETERS, {"parameters": [{"name": "n"}]}, "parameters[0].value is required"),
        (ENCRYPTION, {"bucket": "b"}, "rules is required"),
    ],
)
def test_inputs_are_checked_by_the_sdks_types(token, inputs, refused):
    required = {INSTANCE: {"instanceClass": "c"}, PARAMETERS: {"family": "f"}}.get(token, {})
    given = {key: value for key, value in {**required, **inputs}.items() if value is not None}
    name, _, reason = refused.partition(" ")

    assert schema.refused(token, given) == [Refusal(name, reason)]


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": True}),
        (VPC, {"cidrBlock": UNKNOWN, "tags": {"a": UNKNOWN}}),
        (VPC, {"__defaults": []}),
        (ENCRYPTION, {"bucket": "b", "rules": [{}]}),
    ],
    ids=["known", "unknown in a preview", "internal key of the engine", "optional"],
)
def test_valid_inputs_are_accepted(token, inputs):
    assert schema.refused(token, inputs) == []


@pytest.mark.parametrize("token", ["aws:ec2/vpcs:Vpcs", "aws:nowhere/a:A"])
def test_a_type_missing_in_the_sdk_is_an_error(token):
    with pytest.raises(LookupError, match="pulumi_aws has no type"):
        schema.refused(token, {})
