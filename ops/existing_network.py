"""Checks of an existing VPC: what AWS or Airflow would refuse or miss after minutes, read at once."""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import Stack
from settings import Settings, sizing
from settings.cluster import ExistingClusterSettings
from settings.database import RdsSettings
from settings.limits import (
    EKS_ADDRESSES,
    EKS_REFUSES_ZONES,
    LOAD_BALANCER_ADDRESSES,
    PODS_PER_ADDRESS_BLOCK,
)
from settings.network import ExistingNetworkSettings
from settings.types import ANYWHERE
from settings.workers import WorkerSettings

REQUIREMENTS = "https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"
# https://docs.aws.amazon.com/eks/latest/userguide/tag-subnets-auto.html
ROLES = {"internal": "kubernetes.io/role/internal-elb", "internet-facing": "kubernetes.io/role/elb"}
PRIVATE, PUBLIC = "network.private_subnet_ids", "network.public_subnet_ids"
# A node has one address of its own, and its pods have those of a block.
NODE_ADDRESSES = 1 + PODS_PER_ADDRESS_BLOCK

# A subnet or a route table as AWS describes it.
Described = Mapping[str, Any]


def require(aws: Aws | None, settings: Settings, stack: Stack) -> None:
    """Raise `OperationError` with every problem of the existing network of a stack."""
    if aws is None or not isinstance(settings.network, ExistingNetworkSettings):
        return
    found = problems(aws, settings, deployed=stack.kubeconfig() is not None)
    if found:
        heading = (
            f"Pulumi.{stack.name}.yaml: nothing was changed, the existing network does not fit:"
        )
        raise OperationError("\n  ".join([heading, *found]))


def problems(aws: Aws, settings: Settings, *, deployed: bool = False) -> list[str]:
    """One line per problem of an existing network; none for a new one.

    A deployed stack has taken its addresses: only a first deployment needs them to be free.
    """
    network = settings.network
    if not isinstance(network, ExistingNetworkSettings):
        return []
    if not aws.exists("ec2", "describe-vpcs", "--vpc-ids", network.vpc_id):
        return [f"network.vpc_id: {network.vpc_id} does not exist in {aws.region} in this account"]
    ids = [*network.private_subnet_ids, *network.public_subnet_ids]
    listed = f"Name=subnet-id,Values={','.join(ids)}"
    rows = aws.call("ec2", "describe-subnets", "--filters", listed)["Subnets"]
    subnets = {row["SubnetId"]: row for row in rows if row["VpcId"] == network.vpc_id}
    private = [subnets[id_] for id_ in network.private_subnet_ids if id_ in subnets]
    public = [subnets[id_] for id_ in network.public_subnet_ids if id_ in subnets]
    if isinstance(settings.cluster, ExistingClusterSettings):
        return [
            *_members(network, rows),
            *_zones(PRIVATE, private, "RDS needs", of_cluster=False),
            *_security_groups(aws, settings),
        ]
    scheme = settings.airflow.ingress.scheme if settings.airflow.ingress else None
    found = [
        *_dns(aws, network.vpc_id),
        *_members(network, rows),
        *_zones(PRIVATE, private, "EKS and RDS need"),
        *_routes(aws, network.vpc_id, private, public if scheme == "internet-facing" else []),
        *_security_groups(aws, settings),
    ]
    if scheme == "internal":
        found += _tags(PRIVATE, private, ROLES[scheme])
    if scheme == "internet-facing":
        found += _tags(PUBLIC, public, ROLES[scheme])
        found += _zones(PUBLIC, public, "an Application Load Balancer needs")
    if not deployed:
        found += _addresses(settings, private, public, scheme)
    return found


def _dns(aws: Aws, vpc: str) -> Iterator[str]:
    for attribute, option in (
        ("enableDnsSupport", "--enable-dns-support"),
        ("enableDnsHostnames", "--enable-dns-hostnames"),
    ):
        words = ["describe-vpc-attribute", "--vpc-id", vpc, "--attribute", attribute]
        answer = aws.call("ec2", *words)
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            yield (
                f"network.vpc_id: {vpc} has {attribute} off; nodes cannot register at the cluster "
                f"without it ({REQUIREMENTS}): "
                f"aws ec2 modify-vpc-attribute --vpc-id {vpc} {option}"
            )


def _members(network: ExistingNetworkSettings, rows: Collection[Described]) -> Iterator[str]:
    vpcs = {row["SubnetId"]: row["VpcId"] for row in rows}
    for key, ids in ((PRIVATE, network.private_subnet_ids), (PUBLIC, network.public_subnet_ids)):
        for id_ in ids:
            if id_ not in vpcs:
                yield f"{key}: {id_} does not exist in this Region and account; remove it"
            elif vpcs[id_] != network.vpc_id:
                yield (
                    f"{key}: {id_} belongs to {vpcs[id_]}, not to network.vpc_id {network.vpc_id}; "
                    "list a subnet of that VPC"
                )


def _security_groups(aws: Aws, settings: Settings) -> Iterator[str]:
    """A rule that refers to a missing group fails after the instance has been created."""
    database = settings.database
    wanted = database.client_security_group_ids if isinstance(database, RdsSettings) else ()
    if not wanted:
        return
    listed = f"Name=group-id,Values={','.join(wanted)}"
    rows = aws.call("ec2", "describe-security-groups", "--filters", listed)["SecurityGroups"]
    for id_ in sorted(set(wanted) - {row["GroupId"] for row in rows}):
        yield (
            f"database.client_security_group_ids: {id_} does not exist in this Region and account; "
            "remove it, or list its addresses in database.client_cidrs"
        )


def _zones(
    key: str, subnets: Sequence[Described], user: str, *, of_cluster: bool = True
) -> Iterator[str]:
    zones = {subnet["AvailabilityZoneId"] for subnet in subnets}
    if len(zones) == 1:
        (first, *_) = subnets
        yield (
            f"{key}: all subnets are in zone {_zone(first)}, but {user} two zones; "
            "list a subnet of another zone"
        )
    if key == PUBLIC or not of_cluster:
        return
    for subnet in subnets:
        id_ = subnet["AvailabilityZoneId"]
        # A Local Zone has an ID such as usw2-lax1-az1.
        other = not re.fullmatch(r"[a-z0-9]+-az\d+", id_) or subnet.get("OutpostArn")
        if id_ in EKS_REFUSES_ZONES or other:
            yield (
                f"{key}: {subnet['SubnetId']} is in zone {_zone(subnet)}, which EKS refuses for a cluster "
                f"({REQUIREMENTS}); list a subnet of another zone"
            )


def _zone(subnet: Described) -> str:
    return f"{subnet['AvailabilityZone']} ({subnet['AvailabilityZoneId']})"


def _tags(key: str, subnets: Collection[Described], tag: str) -> Iterator[str]:
    for subnet in subnets:
        tags = {row["Key"]: row["Value"] for row in subnet.get("Tags", [])}
        if tags.get(tag) not in ("1", ""):
            state = f"has the value {tags[tag]!r}" if tag in tags else "is missing"
            yield (
                f"{key}: {subnet['SubnetId']}: the tag {tag}, by which EKS finds subnets for the load "
                f"balancer, {state}: aws ec2 create-tags --resources {subnet['SubnetId']} "
                f"--tags Key={tag},Value=1"
            )


def _routes(
    aws: Aws, vpc: str, private: Collection[Described], public: Collection[Described]
) -> Iterator[str]:
    of_vpc = f"Name=vpc-id,Values={vpc}"
    tables = aws.call("ec2", "describe-route-tables", "--filters", of_vpc)["RouteTables"]
    main = next((t for t in tables if any(a.get("Main") for a in t["Associations"])), None)
    own = {a["SubnetId"]: t for t in tables for a in t["Associations"] if a.get("SubnetId")}
    for key, subnets in ((PRIVATE, private), (PUBLIC, public)):
        for subnet in subnets:
            table = own.get(subnet["SubnetId"], main)
            if table is not None and (what := _route(table, private=key == PRIVATE)):
                yield f"{key}: {subnet['SubnetId']}: {what}"


def _route(table: Described, *, private: bool) -> str | None:
    """What is wrong with the default route of a subnet with this route table."""
    id_ = table["RouteTableId"]
    routes = [r for r in table["Routes"] if r.get("DestinationCidrBlock") == ANYWHERE]
    create = f"aws ec2 create-route --route-table-id {id_} --destination-cidr-block {ANYWHERE}"
    target = "--nat-gateway-id nat-..." if private else "--gateway-id igw-..."
    if not routes:
        need = (
            "nodes pull images and read Git over it, for example through a NAT gateway"
            if private
            else "an internet-facing load balancer needs one to an internet gateway"
        )
        return f"its route table {id_} has no default route; {need}: {create} {target}"
    (route, *_) = routes
    to_internet = str(route.get("GatewayId", "")).startswith("igw-")
    if route.get("State") == "blackhole":
        return (
            f"the default route of its route table {id_} leads to a deleted target; replace it: "
            f"{create.replace('create-route', 'replace-route')} {target}"
        )
    if private and to_internet:
        return (
            f"the default route of its route table {id_} leads to an internet gateway, but nodes have no "
            "public address; list a subnet whose default route leads to a NAT gateway, a transit gateway "
            "or a firewall"
        )
    if not private and not to_internet:
        return (
            f"the default route of its route table {id_} leads to no internet gateway, which an "
            "internet-facing load balancer needs; list a public subnet"
        )
    return None


def _addresses(
    settings: Settings,
    private: Collection[Described],
    public: Collection[Described],
    scheme: str | None,
) -> Iterator[str]:
    balancer = LOAD_BALANCER_ADDRESSES if scheme == "internal" else 0
    each = EKS_ADDRESSES + NODE_ADDRESSES + balancer
    why = f"{EKS_ADDRESSES} for EKS, {NODE_ADDRESSES} for a node and its pods"
    why += f", {balancer} for the load balancer" if balancer else ""
    yield from _too_few(PRIVATE, private, each, why)
    queues = settings.all_queues.values()
    disk_gb = sizing.node_disk_gb(queues)
    workers = sum(_worker_addresses(queue, disk_gb) for queue in queues)
    needed = each * len(private) + workers
    free = sum(subnet["AvailableIpAddressCount"] for subnet in private)
    if free < needed:
        yield (
            f"{PRIVATE}: {free} free addresses in all subnets, but the stack needs at least {needed}: in "
            f"each subnet {why}; {workers} for the maximum number of workers and their nodes; list larger "
            "subnets, or lower workers.max"
        )
    if scheme == "internet-facing":
        count = LOAD_BALANCER_ADDRESSES
        yield from _too_few(PUBLIC, public, count, f"{count} for the load balancer")


def _worker_addresses(queue: WorkerSettings, disk_gb: int) -> int:
    blocks = math.ceil(queue.max / PODS_PER_ADDRESS_BLOCK)
    return sizing.min_nodes(queue, disk_gb) + blocks * PODS_PER_ADDRESS_BLOCK


def _too_few(key: str, subnets: Collection[Described], needed: int, why: str) -> Iterator[str]:
    for subnet in subnets:
        free = subnet["AvailableIpAddressCount"]
        if free < needed:
            yield (
                f"{key}: {subnet['SubnetId']} ({subnet['CidrBlock']}) has {free} free addresses, but needs "
                f"at least {needed}: {why}; list a larger subnet"
            )
