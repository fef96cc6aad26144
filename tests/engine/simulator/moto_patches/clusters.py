"""EKS: subnets, security groups, role and key of a cluster must exist; its node pools have a role."""

from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.exceptions import EKSError, InvalidParameterException
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from tests.engine.simulator import moto_additions
from tests.engine.simulator.moto_patches.guard import guards
from tests.engine.simulator.moto_patches.zones import REFUSED_BY_EKS

Arguments = dict[str, Any]


def _refuse(message: str) -> InvalidParameterException:
    return InvalidParameterException(message=message)


def _subnets(backend: EKSBackend, given: Arguments) -> list[Any]:
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    wanted = given["resources_vpc_config"].get("subnetIds") or []
    known = {id_: subnet for zone in ec2.subnets.values() for id_, subnet in zone.items()}
    missing = [id_ for id_ in wanted if id_ not in known]
    if missing:
        raise _refuse(f"The subnet ID '{missing[0]}' does not exist")
    return [known[id_] for id_ in wanted]


def subnets_are_in_two_zones(backend: EKSBackend, given: Arguments) -> None:
    zones = {subnet.availability_zone for subnet in _subnets(backend, given)}
    if len(zones) < 2:
        raise _refuse("Subnets specified must be in at least two different AZs")


class UnsupportedAvailabilityZoneException(EKSError):
    TYPE = "UnsupportedAvailabilityZoneException"
    STATUS = 400


def zones_support_eks(backend: EKSBackend, given: Arguments) -> None:
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    zones = ec2.describe_availability_zones()
    valid = [zone.name for zone in zones if zone.zone_id not in REFUSED_BY_EKS]
    for subnet in _subnets(backend, given):
        if subnet.availability_zone_id in REFUSED_BY_EKS:
            # https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html#ICE
            message = (
                f"Cannot create cluster '{given['name']}' because {subnet.availability_zone}, the targeted "
                "availability zone, does not currently have sufficient capacity to support the cluster. "
                f"Retry and choose from these availability zones: {', '.join(valid)}"
            )
            raise UnsupportedAvailabilityZoneException(message=message, validZones=valid)


def security_groups_exist(backend: EKSBackend, given: Arguments) -> None:
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    for id_ in given["resources_vpc_config"].get("securityGroupIds") or []:
        if ec2.get_security_group_from_id(id_) is None:
            raise _refuse(f"The security group '{id_}' does not exist")


def role_exists(backend: EKSBackend, given: Arguments) -> None:
    iam = iam_backends[backend.account_id][backend.partition]
    if given["role_arn"] not in {role.arn for role in iam.roles.values()}:
        raise _refuse(
            f"Role with arn: {given['role_arn']}, could not be assumed because it does not exist"
        )


def key_exists(backend: EKSBackend, given: Arguments) -> None:
    kms = kms_backends[backend.account_id][backend.region_name]
    for config in given["encryption_config"] or []:
        arn = config["provider"]["keyArn"]
        if arn not in {key.arn for key in kms.keys.values()}:
            raise _refuse(f"Invalid key ARN: {arn}")


def _compute_mistake(config: dict[str, Any] | None) -> str | None:
    """Published only in issues: terraform-aws-modules/terraform-aws-eks#3238 and #3366."""
    role, pools = (config or {}).get("nodeRoleArn"), (config or {}).get("nodePools")
    if role and not pools:
        return "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided."
    if pools and not role:
        return (
            "When Compute Config nodeRoleArn is null or empty, nodePool list cannot be populated."
        )
    return None


def node_pools_and_node_role_come_together(response: EKSResponse, given: Arguments) -> None:
    mistake = _compute_mistake(response._get_param("computeConfig"))
    if mistake:
        raise _refuse(mistake)


def updated_node_pools_and_node_role_come_together(
    api: moto_additions.Api, given: Arguments
) -> None:
    mistake = _compute_mistake(api.given.get("computeConfig"))
    if mistake:
        raise moto_additions.invalid(mistake)


_API = "https://docs.aws.amazon.com/eks/latest/APIReference/"
GUARDS = (
    *guards(
        EKSBackend,
        _API,
        (
            "create_cluster",
            "CreateCluster",
            subnets_are_in_two_zones,
            zones_support_eks,
            security_groups_exist,
            role_exists,
            key_exists,
        ),
    ),
    *guards(
        EKSResponse,
        _API,
        ("create_cluster", "CreateCluster", node_pools_and_node_role_come_together),
    ),
    *guards(
        moto_additions.Api,
        _API,
        (
            "update_config",
            "UpdateClusterConfig",
            updated_node_pools_and_node_role_come_together,
        ),
    ),
)
