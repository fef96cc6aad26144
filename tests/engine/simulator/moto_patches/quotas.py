"""What an account may have in a Region: quotas, and classes of RDS."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.core.responses import PaginatedResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.rds.responses import RDSResponse
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from tests.engine.simulator.moto_patches.guard import Guard

_ADDRESSES = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateAddress.html"
# Of a Region, by code. Five Elastic IPs are AWS's default; that of vCPUs is 5, and AWS raises it in
# an account that is in use.
# https://docs.aws.amazon.com/general/latest/gr/ec2-service.html#limits_ec2
ELASTIC_IPS, ON_DEMAND_VCPUS, SPOT_VCPUS = "L-0263D0A3", "L-1216C47A", "L-34B43A08"
GPU_VCPUS = "L-DB2E81BA"
DEFAULTS = {
    ELASTIC_IPS: ("EC2-VPC Elastic IPs", 5),
    ON_DEMAND_VCPUS: ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 256),
    GPU_VCPUS: ("Running On-Demand G and VT instances", 0),
    SPOT_VCPUS: ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 256),
}
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.RegionSupportAurora.html
FAMILIES = {"t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "r5", "r6g", "r6i", "r7g", "r7i"}
# Changes of the defaults; empty in a new account.
changed: dict[str, float] = {}


def value(code: str) -> float:
    return changed.get(code, DEFAULTS[code][1])


def addresses_within_quota(backend: EC2Backend, given: dict[str, Any]) -> None:
    if len(backend.addresses) >= value(ELASTIC_IPS):
        raise EC2ClientError(
            "AddressLimitExceeded", "The maximum number of addresses has been reached."
        )


def serve(patches: ExitStack) -> None:
    """Moto knows the quotas of VPC and the classes of Aurora only."""
    original = ServiceQuotasBackend.get_service_quota

    def get(backend: ServiceQuotasBackend, service_code: str, quota_code: str) -> dict[str, Any]:
        if service_code != "ec2":
            return original(backend, service_code, quota_code)
        if quota_code not in DEFAULTS:
            raise NoSuchResource
        return {
            "ServiceCode": service_code,
            "QuotaCode": quota_code,
            "QuotaName": DEFAULTS[quota_code][0],
            "Value": float(value(quota_code)),
            "Adjustable": True,
        }

    patches.enter_context(patch.object(ServiceQuotasBackend, "get_service_quota", get))
    classes = "describe_orderable_db_instance_options"
    patches.enter_context(patch.object(RDSResponse, classes, _orderable))


def _orderable(response: RDSResponse) -> PaginatedResult:
    wanted, engine = response.params["DBInstanceClass"], response.params["Engine"]
    offered = wanted.split(".")[1] in FAMILIES
    rows = [{"Engine": engine, "DBInstanceClass": wanted}] if offered else []
    return PaginatedResult({"OrderableDBInstanceOptions": rows})


GUARDS = (Guard(EC2Backend, "allocate_address", addresses_within_quota, _ADDRESSES),)
