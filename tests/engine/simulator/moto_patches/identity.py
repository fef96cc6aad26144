"""IAM: service-linked roles have the names that AWS gives them, and exist once."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.iam import models
from moto.iam.exceptions import IAMException
from moto.iam.models import IAMBackend

from tests.engine.simulator.moto_patches.guard import Guard

_LINKED = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html"
SPOT, SPOT_ROLE = "spot.amazonaws.com", "AWSServiceRoleForEC2Spot"


class InvalidInput(IAMException):
    code = "InvalidInput"


def linked_role_is_new(backend: IAMBackend, given: dict[str, Any]) -> None:
    if given["service_name"] == SPOT and SPOT_ROLE in {r.name for r in backend.roles.values()}:
        raise InvalidInput(
            f"Service role name {SPOT_ROLE} has been taken in this account, please try a different "
            "suffix."
        )


def linked_role_names(patches: ExitStack) -> None:
    """Moto derives the name from that of the service, and AWS does not."""
    patches.enter_context(patch.dict(models.SERVICE_NAME_CONVERSION, {"spot": "EC2Spot"}))


GUARDS = (Guard(IAMBackend, "create_service_linked_role", linked_role_is_new, _LINKED),)
