"""`make repair` reconciles drift, and `make down` deletes dependents first."""

import re

import pytest

pytestmark = pytest.mark.slow
DELETED = re.compile(r"^ - +\S+ (\S+) deleted", re.MULTILINE)
# A dependent, and its dependency.
DEPENDENCIES = [
    ("airflow-release", "namespace-namespace"),
    ("airflow-release", "keda-release"),
    ("airflow-release", "database-instance"),
    ("airflow-release", "redis-server"),
    ("keda-release", "keda-namespace"),
    ("namespace-namespace", "cluster-eks-eksCluster"),
    ("keda-namespace", "cluster-eks-eksCluster"),
    ("namespace-namespace", "nodes-pool"),
    ("namespace-namespace", "nodes-platform"),
    ("keda-namespace", "nodes-platform"),
    ("nodes-metrics-server", "nodes-platform"),
    ("nodes-pool", "nodes-class"),
    ("nodes-platform", "nodes-class"),
    ("nodes-class", "nodes-access"),
    ("nodes-class", "nodes-role"),
    ("nodes-class", "cluster-eks-eksCluster"),
    ("cluster-eks-eksCluster", "cluster-secrets"),
    ("cluster-eks-eksCluster", "network-vpc"),
    ("database-instance", "network-vpc"),
]


def _group(stack, name):
    return stack.resources()[f"aws:ec2/securityGroup:SecurityGroup {name}"]["id"]


def _rules(account, group):
    filters = [{"Name": "group-id", "Values": [group]}]
    found = account.client("ec2").describe_security_group_rules(Filters=filters)
    return [r for r in found["SecurityGroupRules"] if not r["IsEgress"]]


def _open_to_every_port(ec2, group, rule):
    opened = {
        "IpProtocol": "tcp",
        "FromPort": 0,
        "ToPort": 65535,
        "ReferencedGroupId": rule["ReferencedGroupInfo"]["GroupId"],
    }
    change = {"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": opened}
    ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[change])


def _remove(ec2, group, rule):
    ids = [rule["SecurityGroupRuleId"]]
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)


@pytest.mark.parametrize("drift", [_open_to_every_port, _remove])
def test_repair_restores_a_security_group_rule(dev, account, drift):
    dev.up()
    group = _group(dev, "database-security-group")
    (rule,) = _rules(account, group)
    drift(account.client("ec2"), group, rule)

    status, output = dev.make("repair")

    assert status == 0, output
    assert "database-from-clients" in output
    (after,) = _rules(account, group)
    assert (after["FromPort"], after["ToPort"]) == (5432, 5432)


def test_down_deletes_dependents_first(dev):
    dev.up()

    status, output = dev.make("down")

    assert status == 0, output
    deleted = DELETED.findall(output)
    assert {name for pair in DEPENDENCIES for name in pair} <= set(deleted)
    wrong = [(a, b) for a, b in DEPENDENCIES if deleted.index(a) > deleted.index(b)]
    assert wrong == [], "the first of each pair must be deleted first"
