"""EC2: references must exist, and resources in use cannot be deleted."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE
from moto.eks.models import eks_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.rds.models import rds_backends

from tests.engine.simulator.moto_patches.guard import guards

Arguments = dict[str, Any]


def _in_use(what: str, by: str) -> EC2ClientError:
    message = f"The {what} has dependencies and cannot be deleted: {by}"
    return EC2ClientError("DependencyViolation", message)


def _nats(backend: EC2Backend) -> list[Any]:
    return [
        nat for nat in backend.nat_gateways.values() if nat.state not in ("deleted", "deleting")
    ]


def vpc_has_no_groups(backend: EC2Backend, given: Arguments) -> None:
    vpc = given["vpc_id"]
    for group in backend.groups.get(vpc, {}).values():
        if group.name != "default":
            raise _in_use(f"vpc '{vpc}'", group.id)


def _interfaces(backend: EC2Backend) -> list[Any]:
    """Network interfaces. Moto keeps those of deleted NAT gateways."""
    gone = {nat._eni.id for nat in backend.nat_gateways.values() if nat.state == "deleted"}
    return [interface for id_, interface in backend.enis.items() if id_ not in gone]


def _balancers(backend: EC2Backend) -> list[Any]:
    return list(elbv2_backends[backend.account_id][backend.region_name].load_balancers.values())


def vpc_has_no_gateway(backend: EC2Backend, given: Arguments) -> None:
    for gateway in backend.internet_gateways.values():
        if gateway.vpc is not None and gateway.vpc.id == given["vpc_id"]:
            raise _in_use(f"vpc '{given['vpc_id']}'", gateway.id)


def vpc_has_no_peering(backend: EC2Backend, given: Arguments) -> None:
    for peering in backend.vpc_pcxs.values():
        ended = peering._status.code in ("deleted", "rejected", "failed", "expired")
        if given["vpc_id"] in (peering.vpc.id, peering.peer_vpc.id) and not ended:
            raise _in_use(f"vpc '{given['vpc_id']}'", peering.id)


def vpc_has_no_endpoints(backend: EC2Backend, given: Arguments) -> None:
    for endpoint in backend.vpc_end_points.values():
        if endpoint.vpc_id == given["vpc_id"] and endpoint.state != "deleted":
            raise _in_use(f"vpc '{endpoint.vpc_id}'", endpoint.id)


def gateway_has_no_addresses(backend: EC2Backend, given: Arguments) -> None:
    for nat in _nats(backend):
        if nat.vpc_id == given["vpc_id"]:
            message = f"Network {nat.vpc_id} has some mapped public address(es): {nat.id}"
            raise EC2ClientError("DependencyViolation", message)


def subnet_is_free(backend: EC2Backend, given: Arguments) -> None:
    subnet = given["subnet_id"]
    users = [nat.id for nat in _nats(backend) if nat.subnet_id == subnet]
    rds = rds_backends[backend.account_id][backend.region_name]
    users += [
        instance.db_instance_identifier
        for instance in rds.databases.values()
        if instance.db_subnet_group
        and subnet in {one.id for one in instance.db_subnet_group._subnets}
    ]
    users += [one.id for one in _interfaces(backend) if one.subnet.id == subnet]
    users += [
        balancer.name
        for balancer in _balancers(backend)
        if subnet in {one.id for one in balancer.subnets}
    ]
    eks = eks_backends[backend.account_id][backend.region_name]
    users += [
        cluster.name
        for cluster in eks.clusters.values()
        if subnet in cluster.resources_vpc_config["subnetIds"]
    ]
    if users:
        raise _in_use(f"subnet '{subnet}'", users[0])


def nat_subnet_exists(backend: EC2Backend, given: Arguments) -> None:
    if not any(given["subnet_id"] in zone for zone in backend.subnets.values()):
        message = f"The subnet ID '{given['subnet_id']}' does not exist"
        raise EC2ClientError("InvalidSubnetID.NotFound", message)


def nat_address_is_free(backend: EC2Backend, given: Arguments) -> None:
    id_ = given["allocation_id"]
    if id_ not in {address.allocation_id for address in backend.addresses}:
        message = f"The allocation ID '{id_}' does not exist"
        raise EC2ClientError("InvalidAllocationID.NotFound", message)
    if _users_of(backend, id_):
        message = f"The elastic IP {id_} is already associated"
        raise EC2ClientError("Resource.AlreadyAssociated", message)


def _users_of(backend: EC2Backend, allocation: str | None) -> list[str]:
    return [
        nat.id
        for nat in _nats(backend)
        if allocation in {address.get("allocationId") for address in nat.address_set}
    ]


def address_is_free(backend: EC2Backend, given: Arguments) -> None:
    users = _users_of(backend, given["allocation_id"])
    if users:
        message = f"The address {given['allocation_id']} is in use by {users[0]}"
        raise EC2ClientError("InvalidIPAddress.InUse", message)


def route_target_exists(backend: EC2Backend, given: Arguments) -> None:
    nat = given["nat_gateway_id"]
    if nat is not None and nat not in {one.id for one in _nats(backend)}:
        raise EC2ClientError("NatGatewayNotFound", f"The NAT gateway {nat} does not exist")


def subnet_has_one_table(backend: EC2Backend, given: Arguments) -> None:
    subnet = given["subnet_id"]
    for table in backend.route_tables.values():
        associated = table._associations.values()
        if subnet in associated and table.id != given["route_table_id"]:
            message = (
                f"the specified association for subnet {subnet} conflicts with an existing one"
            )
            raise EC2ClientError("Resource.AlreadyAssociated", message)


def group_is_not_referenced(backend: EC2Backend, given: Arguments) -> None:
    id_ = given["group_id"]
    for groups in backend.groups.values():
        for group in groups.values():
            rules = [*group.ingress_rules, *group.egress_rules]
            named = {(rule.source_group or {}).get("GroupId") for rule in rules}
            if group.id != id_ and id_ in named:
                raise _in_use(f"resource {id_}", group.id)


def group_is_not_attached(backend: EC2Backend, given: Arguments) -> None:
    id_ = given["group_id"]
    rds = rds_backends[backend.account_id][backend.region_name]
    for instance in rds.databases.values():
        if id_ in instance.vpc_security_group_ids:
            raise _in_use(f"resource {id_}", instance.db_instance_identifier)
    for interface in _interfaces(backend):
        if id_ in {group.id for group in interface.group_set}:
            raise _in_use(f"resource {id_}", interface.id)
    for balancer in _balancers(backend):
        if id_ in balancer.security_groups:
            raise _in_use(f"resource {id_}", balancer.name)


def flow_log_role_is_assumable(backend: EC2Backend, given: Arguments) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html"""
    iam = iam_backends[backend.account_id][backend.partition]
    trust = {role.arn: unquote(role.assume_role_policy_document) for role in iam.roles.values()}
    if "vpc-flow-logs.amazonaws.com" not in trust.get(given["deliver_logs_permission_arn"], ""):
        raise EC2ClientError("InvalidParameter", "Unable to assume given IAM role")


def name_flow_logs(patches: ExitStack) -> None:
    """Filter flow logs in tags by AWS's name of the type.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html
    """
    patches.enter_context(patch.dict(EC2_PREFIX_TO_RESOURCE, {"fl": "vpc-flow-log"}))


GUARDS = guards(
    EC2Backend,
    "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/",
    (
        "delete_vpc",
        "DeleteVpc",
        vpc_has_no_groups,
        vpc_has_no_endpoints,
        vpc_has_no_gateway,
        vpc_has_no_peering,
    ),
    ("detach_internet_gateway", "DetachInternetGateway", gateway_has_no_addresses),
    ("create_flow_logs", "CreateFlowLogs", flow_log_role_is_assumable),
    ("delete_subnet", "DeleteSubnet", subnet_is_free),
    ("create_nat_gateway", "CreateNatGateway", nat_address_is_free, nat_subnet_exists),
    ("release_address", "ReleaseAddress", address_is_free),
    ("create_route", "CreateRoute", route_target_exists),
    ("associate_route_table", "AssociateRouteTable", subnet_has_one_table),
    (
        "delete_security_group",
        "DeleteSecurityGroup",
        group_is_not_referenced,
        group_is_not_attached,
    ),
)
