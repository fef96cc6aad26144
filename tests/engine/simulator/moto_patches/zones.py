"""Availability zones of the Region: AWS assigns their IDs to letters separately in each account.

https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html
"""

from collections.abc import Sequence
from contextlib import ExitStack
from unittest.mock import patch

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone

# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html#network-requirements-subnets
REFUSED_BY_EKS = {"use1-az3", "usw1-az2", "cac1-az3"}


def ids_of(region: str) -> list[str]:
    return [zone.zone_id for zone in RegionsAndZonesBackend.zones[region]]


def rotated(region: str, seed: int) -> list[str]:
    """The zone IDs of a Region in the order of the letters of one account."""
    ids = sorted(ids_of(region))
    first = seed % len(ids)
    return ids[first:] + ids[:first]


def install(patches: ExitStack, region: str, ids: Sequence[str]) -> None:
    """Until `patches` closes, the zones of the Region have these IDs: a, b, c and so on."""
    patches.enter_context(patch.dict(RegionsAndZonesBackend.zones))
    assign(region, ids)


def assign(region: str, ids: Sequence[str]) -> None:
    RegionsAndZonesBackend.zones[region] = [
        Zone(region_name=region, name=f"{region}{letter}", zone_id=id_)
        for letter, id_ in zip("abcdef", ids, strict=False)
    ]
