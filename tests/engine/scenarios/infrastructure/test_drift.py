"""Somebody changes things behind Pulumi's back."""


def _rules(account, group):
    filters = [{"Name": "group-id", "Values": [group]}]
    found = account.client("ec2").describe_security_group_rules(Filters=filters)
    return [r for r in found["SecurityGroupRules"] if not r["IsEgress"]]


def test_a_firewall_that_somebody_opened_is_shown_and_closed(dev, account):
    dev.up()
    kept = dev.resources()
    group = kept["aws:ec2/securityGroup:SecurityGroup database-firewall"]["id"]
    rule = kept["aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule database-from-clients"]
    before = _rules(account, group)
    ec2 = account.client("ec2")
    ec2.modify_security_group_rules(
        GroupId=group,
        SecurityGroupRules=[
            {
                "SecurityGroupRuleId": rule["id"],
                "SecurityGroupRule": {
                    "IpProtocol": "tcp",
                    "FromPort": 0,
                    "ToPort": 65535,
                    "ReferencedGroupId": before[0]["ReferencedGroupInfo"]["GroupId"],
                },
            }
        ],
    )

    status, said = dev.make("repair")

    assert status == 0, said
    assert "database-from-clients" in said
    (after,) = _rules(account, group)
    assert (after["FromPort"], after["ToPort"]) == (5432, 5432)


def test_a_firewall_rule_that_somebody_removed_comes_back(dev, account):
    dev.up()
    group = dev.resources()["aws:ec2/securityGroup:SecurityGroup database-firewall"]["id"]
    (rule,) = _rules(account, group)
    account.client("ec2").revoke_security_group_ingress(
        GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
    )

    status, said = dev.make("repair")

    assert status == 0, said
    assert "database-from-clients" in said
    (after,) = _rules(account, group)
    assert (after["FromPort"], after["ToPort"]) == (5432, 5432)
