"""Flow logs and log groups in the account."""

import json

import pytest

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import RESOURCES

GROUP, FLOW_LOG = "aws:cloudwatch/logGroup:LogGroup", "aws:ec2/flowLog:FlowLog"
TAGS = {"Name": "one"}


@pytest.fixture
def cloud():
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def inputs(cloud):
    principal = {"Service": "vpc-flow-logs.amazonaws.com"}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = cloud.client("iam").create_role(RoleName="one", AssumeRolePolicyDocument=trust)
    _, group = RESOURCES[GROUP].create(cloud, {"name": "one", "retentionInDays": 30})
    vpc = cloud.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return {
        "vpcId": vpc,
        "trafficType": "REJECT",
        "logDestination": group["arn"],
        "iamRoleArn": role["Role"]["Arn"],
        "tags": TAGS,
        "tagsAll": TAGS,
    }


def test_a_flow_log_is_created_read_tagged_and_deleted(cloud, inputs):
    kind = RESOURCES[FLOW_LOG]
    id_, outputs = kind.create(cloud, inputs)
    state = {**inputs, **outputs}

    assert f"ec2 flow log {id_}" in cloud.inventory()
    seen = kind.current(cloud, id_, state)
    assert seen == {key: state[key] for key in seen}, "a refresh shows no drift"
    tags = {**TAGS, "owner": "me"}
    kind.update(cloud, id_, state, {**state, "tags": tags, "tagsAll": tags})
    assert kind.current(cloud, id_, state)["tagsAll"] == tags

    kind.remove(cloud, id_, state)
    kind.remove(cloud, id_, state)
    assert kind.current(cloud, id_, state) is None


def test_the_recovery_finds_a_flow_log_by_its_tags(cloud, inputs):
    id_, _ = RESOURCES[FLOW_LOG].create(cloud, inputs)

    kind = [{"Name": "resource-type", "Values": ["vpc-flow-log"]}]
    (tag,) = cloud.client("ec2").describe_tags(Filters=kind)["Tags"]
    assert (tag["ResourceId"], tag["Value"]) == (id_, "one")
