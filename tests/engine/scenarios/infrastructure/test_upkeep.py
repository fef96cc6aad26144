"""What somebody changes behind Pulumi's back is put back, and what is taken away goes in order."""

import re

import pytest

pytestmark = pytest.mark.slow
DELETED = re.compile(r"^ - +\S+ (\S+) deleted", re.MULTILINE)
# What stands on something, and what it stands on.
STANDS_ON = [
    ("airflow-release", "namespace-namespace"),
    ("airflow-release", "keda-release"),
    ("airflow-release", "database-instance"),
    ("airflow-release", "redis-server"),
    ("keda-release", "keda-namespace"),
    ("namespace-namespace", "cluster-eks-eksCluster"),
    ("keda-namespace", "cluster-eks-eksCluster"),
    ("cluster-metrics-server", "cluster-eks-eksCluster"),
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


def _open_to_every_port(rule):
    return {
        "SecurityGroupRuleId": rule["SecurityGroupRuleId"],
        "SecurityGroupRule": {
            "IpProtocol": "tcp",
            "FromPort": 0,
            "ToPort": 65535,
            "ReferencedGroupId": rule["ReferencedGroupInfo"]["GroupId"],
        },
    }


def test_a_firewall_that_somebody_opened_is_shown_and_closed(dev, account):
    dev.up()
    group = _group(dev, "database-firewall")
    (rule,) = _rules(account, group)
    account.client("ec2").modify_security_group_rules(
        GroupId=group, SecurityGroupRules=[_open_to_every_port(rule)]
    )

    status, said = dev.make("repair")

    assert status == 0, said
    assert "database-from-clients" in said
    (after,) = _rules(account, group)
    assert (after["FromPort"], after["ToPort"]) == (5432, 5432)


def test_a_firewall_rule_that_somebody_removed_comes_back(dev, account):
    dev.up()
    group = _group(dev, "database-firewall")
    (rule,) = _rules(account, group)
    account.client("ec2").revoke_security_group_ingress(
        GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
    )

    status, said = dev.make("repair")

    assert status == 0, said
    assert "database-from-clients" in said
    (after,) = _rules(account, group)
    assert (after["FromPort"], after["ToPort"]) == (5432, 5432)


def test_nothing_goes_before_what_stands_on_it(dev):
    dev.up()

    status, said = dev.make("down")

    assert status == 0, said
    gone = DELETED.findall(said)
    assert {name for pair in STANDS_ON for name in pair} <= set(gone)
    wrong = [(a, b) for a, b in STANDS_ON if gone.index(a) > gone.index(b)]
    assert wrong == [], "the first of each pair must go first"
