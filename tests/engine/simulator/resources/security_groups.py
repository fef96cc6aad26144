"""Security groups and their rules."""

from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    tags_seen,
)
from tests.engine.simulator.resources.network import arn, retag, tagged


def _create_group(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    ec2 = cloud.client("ec2")
    created = ec2.create_security_group(
        GroupName=inputs["name"],
        # The default of Pulumi's provider.
        Description=inputs.get("description") or "Managed by Pulumi",
        VpcId=inputs["vpcId"],
        **tagged("security-group", inputs),
    )
    id_ = created["GroupId"]
    # AWS adds an egress rule for all traffic to a new group; the provider removes it.
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=[everything])
    _set_rules(cloud, id_, {}, inputs)
    return id_, _group_outputs(cloud, id_)


def _group_outputs(cloud: Cloud, id_: str) -> Values:
    outputs = {"ownerId": cloud.account, "region": cloud.region}
    return {"arn": arn(cloud, f"security-group/{id_}"), **outputs}


def _set_rules(cloud: Cloud, id_: str, old: Values, new: Values) -> None:
    """Set the inline rules of the group."""
    ec2 = cloud.client("ec2")
    for side, allow, revoke in (
        ("ingress", ec2.authorize_security_group_ingress, ec2.revoke_security_group_ingress),
        ("egress", ec2.authorize_security_group_egress, ec2.revoke_security_group_egress),
    ):
        before, after = old.get(side) or [], new.get(side) or []
        for rule in before:
            if rule not in after:
                revoke(GroupId=id_, IpPermissions=[_permission(rule, id_)])
        for rule in after:
            if rule not in before:
                allow(GroupId=id_, IpPermissions=[_permission(rule, id_)])


def _permission(rule: Values, own: str) -> dict[str, Any]:
    groups = [*(rule.get("securityGroups") or []), *([own] if rule.get("self") else [])]
    return {
        "IpProtocol": str(rule["protocol"]),
        **chosen(rule, {"fromPort": "FromPort", "toPort": "ToPort"}),
        "IpRanges": [{"CidrIp": cidr} for cidr in rule.get("cidrBlocks") or []],
        "UserIdGroupPairs": [{"GroupId": group} for group in groups],
    }


def _read_group(cloud: Cloud, id_: str, state: Values) -> Values:
    (group,) = cloud.client("ec2").describe_security_groups(GroupIds=[id_])["SecurityGroups"]
    return {
        "name": group["GroupName"],
        "description": group["Description"],
        "vpcId": group["VpcId"],
        **tags_seen(group.get("Tags", []), state),
    }


def _update_group(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    _set_rules(cloud, id_, old, new)
    return retag(cloud, id_, old, new)


GROUP = Resource(
    create=_create_group,
    read=_read_group,
    update=_update_group,
    delete=lambda cloud, id_, _: cloud.client("ec2").delete_security_group(GroupId=id_),
    replaces=frozenset({"name", "namePrefix", "description", "vpcId"}),
    autoname="name",
)


def _create_default(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    """Adopt the default group of the VPC, and remove its rules."""
    ec2 = cloud.client("ec2")
    mine = [
        {"Name": "vpc-id", "Values": [inputs["vpcId"]]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    (group,) = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    id_ = group["GroupId"]
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=group["IpPermissionsEgress"])
    retag(cloud, id_, {}, inputs)
    return id_, {**_group_outputs(cloud, id_), "name": "default"}


DEFAULT_GROUP = Resource(
    create=_create_default,
    read=_read_group,
    update=_update_group,
    # The provider only removes it from the state: AWS deletes it with its VPC.
    delete=lambda cloud, id_, state: None,
    replaces=frozenset({"vpcId"}),
)

_RULE = {
    "ipProtocol": "IpProtocol",
    "fromPort": "FromPort",
    "toPort": "ToPort",
}


def _source(inputs: Values) -> dict[str, Any]:
    described = chosen(inputs, {"description": "Description"})
    if inputs.get("cidrIpv4"):
        return {"IpRanges": [{"CidrIp": inputs["cidrIpv4"], **described}]}
    if inputs.get("cidrIpv6"):
        return {"Ipv6Ranges": [{"CidrIpv6": inputs["cidrIpv6"], **described}]}
    if inputs.get("prefixListId"):
        return {"PrefixListIds": [{"PrefixListId": inputs["prefixListId"], **described}]}
    return {"UserIdGroupPairs": [{"GroupId": inputs["referencedSecurityGroupId"], **described}]}


def _create_rule(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    ec2 = cloud.client("ec2")
    created = ec2.authorize_security_group_ingress(
        GroupId=inputs["securityGroupId"],
        IpPermissions=[{**chosen(inputs, _RULE), **_source(inputs)}],
        **tagged("security-group-rule", inputs),
    )
    (rule,) = created["SecurityGroupRules"]
    id_ = rule["SecurityGroupRuleId"]
    outputs = {"arn": arn(cloud, f"security-group-rule/{id_}"), "securityGroupRuleId": id_}
    return id_, outputs


def _read_rule(cloud: Cloud, id_: str, state: Values) -> Values | None:
    found = cloud.client("ec2").describe_security_group_rules(
        Filters=[{"Name": "security-group-rule-id", "Values": [id_]}]
    )["SecurityGroupRules"]
    if not found:
        return None
    (rule,) = found
    seen = {
        "securityGroupId": rule["GroupId"],
        "ipProtocol": rule["IpProtocol"],
        "fromPort": rule.get("FromPort"),
        "toPort": rule.get("ToPort"),
        "cidrIpv4": rule.get("CidrIpv4"),
        "referencedSecurityGroupId": rule.get("ReferencedGroupInfo", {}).get("GroupId"),
        "description": rule.get("Description"),
    }
    return {**managed(state, seen), **tags_seen(rule.get("Tags", []), state)}


def _update_rule(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    flat = {
        "cidrIpv4": "CidrIpv4",
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
        "description": "Description",
    }
    rule = chosen(new, {**_RULE, **flat})
    cloud.client("ec2").modify_security_group_rules(
        GroupId=new["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": id_, "SecurityGroupRule": rule}],
    )
    return retag(cloud, id_, old, new)


def _delete_rule(cloud: Cloud, id_: str, state: Values) -> None:
    cloud.client("ec2").revoke_security_group_ingress(
        GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id_]
    )


RESOURCES = {
    "aws:ec2/securityGroup:SecurityGroup": GROUP,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": DEFAULT_GROUP,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Resource(
        create=_create_rule,
        read=_read_rule,
        update=_update_rule,
        delete=_delete_rule,
        replaces=frozenset({"securityGroupId"}),
    ),
}
