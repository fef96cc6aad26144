import json

import pytest

from components.aws.network import Network, NetworkArgs
from settings.network import NetworkSettings

GROUP = "aws:cloudwatch/logGroup:LogGroup"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
ARN = "arn:aws:logs:eu-west-1:111122223333:log-group:net-flow-logs-group"


@pytest.fixture
def network(deploy):
    return lambda days: deploy(
        lambda: Network("net", NetworkArgs(settings=NetworkSettings(flow_log_days=days)))
    )


def test_without_a_retention_there_is_no_flow_log(network):
    snapshot = network(None)

    assert snapshot.all(GROUP) == snapshot.all(FLOW_LOG) == snapshot.all("aws:iam/role:Role") == []


def test_refused_connections_of_the_vpc_are_logged(network):
    log = network(90).one(FLOW_LOG).inputs

    assert log["vpcId"] == "net-vpc-id"
    assert log["trafficType"] == "REJECT"
    assert log["logDestination"] == ARN
    assert log["iamRoleArn"] == "arn:aws:iam::111122223333:role/net-flow-logs-role"
    assert log["tags"] == {"Name": "net-flow-logs-rejected"}


@pytest.mark.parametrize(("days", "retention"), [(90, 90), (91, 120)])
def test_the_log_group_has_a_retention_of_cloudwatch(network, days, retention):
    assert network(days).one(GROUP).inputs == {"retentionInDays": retention}


def test_only_flow_logs_of_the_account_may_use_the_role(network):
    role = network(90).one("aws:iam/role:Role").inputs

    (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "111122223333"},
            "ArnLike": {"aws:SourceArn": "arn:aws:ec2:eu-west-1:111122223333:vpc-flow-log/*"},
        },
    }


def test_the_role_may_write_to_its_log_group_only(network):
    snapshot = network(90)
    policy = snapshot.one("aws:iam/rolePolicy:RolePolicy")

    write, look = json.loads(policy.inputs["policy"])["Statement"]
    assert write["Resource"] == [ARN, f"{ARN}:*"]
    assert look == {
        "Effect": "Allow",
        "Action": ["logs:DescribeLogGroups"],
        "Resource": "arn:aws:logs:eu-west-1:111122223333:log-group:*",
    }
    assert "logs:CreateLogGroup" not in write["Action"], (
        "a late writer would create the deleted group again, without a retention"
    )
    assert policy.inputs["role"] == "net-flow-logs-role"
    assert policy.urn in snapshot.one(FLOW_LOG).depends_on
