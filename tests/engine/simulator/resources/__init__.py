"""Pulumi's resource types as calls of AWS's API. A type that is missing here is not simulated."""

from collections.abc import Callable
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import (
    clusters,
    databases,
    identity,
    images,
    network,
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
}


def _zones(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    filters = [{"Name": f["name"], "Values": f["values"]} for f in arguments.get("filters") or []]
    if arguments.get("state"):
        filters.append({"Name": "state", "Values": [arguments["state"]]})
    found = cloud.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    return {
        **arguments,
        "id": cloud.region,
        "region": cloud.region,
        "names": [zone["ZoneName"] for zone in found],
        "zoneIds": [zone["ZoneId"] for zone in found],
        "groupNames": [cloud.region],
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


LOOKUPS: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
}
