"""Pulumi's resource types as calls of AWS's API. A type that is missing here is not simulated."""

from collections.abc import Callable
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.identity import issuer
from tests.engine.simulator.resources import (
    clusters,
    databases,
    identity,
    images,
    logs,
    network,
    secrets,
    security_groups,
    storage,
)
from tests.engine.simulator.resources.kind import Resource

RESOURCES: dict[str, Resource] = {
    **network.RESOURCES,
    **security_groups.RESOURCES,
    **identity.RESOURCES,
    **storage.RESOURCES,
    **images.RESOURCES,
    **databases.RESOURCES,
    **clusters.RESOURCES,
    **logs.RESOURCES,
    **secrets.RESOURCES,
}


def _zones(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    filters = [{"Name": f["name"], "Values": f["values"]} for f in arguments.get("filters") or []]
    if arguments.get("state"):
        filters.append({"Name": "state", "Values": [arguments["state"]]})
    zones = cloud.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    excluded = {*(arguments.get("excludeZoneIds") or []), *(arguments.get("excludeNames") or [])}
    # The official provider sorts them by name.
    found = sorted(
        (zone for zone in zones if not {zone["ZoneName"], zone["ZoneId"]} & excluded),
        key=lambda zone: zone["ZoneName"],
    )
    return {
        **arguments,
        "id": cloud.region,
        "region": cloud.region,
        "names": [zone["ZoneName"] for zone in found],
        "zoneIds": [zone["ZoneId"] for zone in found],
        "groupNames": [cloud.region],
    }


def _vpc(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    (found,) = cloud.client("ec2").describe_vpcs(VpcIds=[arguments["id"]])["Vpcs"]
    return {
        **arguments,
        "arn": network.arn(cloud, f"vpc/{found['VpcId']}"),
        "cidrBlock": found["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": block["AssociationId"],
                "cidrBlock": block["CidrBlock"],
                "state": block["CidrBlockState"]["State"],
            }
            for block in found["CidrBlockAssociationSet"]
        ],
    }


def _partition(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    reverse = "com.amazonaws"
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": reverse,
    }


def _identity(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    found = cloud.client("sts").get_caller_identity()
    return {
        "id": found["Account"],
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
    }


def _session(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    arn = arguments["arn"]
    role = issuer(cloud.client("iam"), arn)
    return {"id": arn, "arn": arn, "issuerArn": role, "issuerName": role.rpartition("/")[2]}


def _load_balancers(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    """Those with all given tags; none is no error."""
    elb = cloud.client("elbv2")
    arns = [row["LoadBalancerArn"] for row in elb.describe_load_balancers()["LoadBalancers"]]
    rows = elb.describe_tags(ResourceArns=arns)["TagDescriptions"] if arns else []
    wanted = (arguments.get("tags") or {}).items()
    tags = {row["ResourceArn"]: {t["Key"]: t["Value"] for t in row["Tags"]} for row in rows}
    return {"id": cloud.region, "arns": [arn for arn in arns if wanted <= tags[arn].items()]}


def _load_balancer(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    elb = cloud.client("elbv2")
    (found,) = elb.describe_load_balancers(LoadBalancerArns=[arguments["arn"]])["LoadBalancers"]
    return {"id": arguments["arn"], "arn": arguments["arn"], "dnsName": found["DNSName"]}


LOOKUPS: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:ec2/getVpc:getVpc": _vpc,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:iam/getSessionContext:getSessionContext": _session,
    "aws:lb/getLbs:getLbs": _load_balancers,
    "aws:lb/getLoadBalancer:getLoadBalancer": _load_balancer,
}
