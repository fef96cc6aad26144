"""ECR: the secret of a pull-through cache must exist, and its prefix must be free."""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import ECRBackend
from moto.secretsmanager.models import secretsmanager_backends

from tests.engine.simulator import moto_image_cache
from tests.engine.simulator.moto_patches.guard import guards


class SecretNotFound(ServiceException):
    code = "SecretNotFoundException"


class RuleAlreadyExists(ServiceException):
    code = "PullThroughCacheRuleAlreadyExistsException"


def secret_exists(backend: ECRBackend, arguments: dict[str, Any]) -> None:
    """In the account and Region of the registry."""
    arn = arguments["given"].get("credentialArn")
    secrets = secretsmanager_backends[backend.account_id][backend.region_name].secrets.values()
    if arn is not None and arn not in {secret.arn for secret in secrets}:
        raise SecretNotFound(
            f"The ARN of the secret specified in the pull through cache rule was not found: {arn}"
        )


def prefix_is_free(backend: ECRBackend, arguments: dict[str, Any]) -> None:
    prefix = arguments["given"]["ecrRepositoryPrefix"]
    if prefix in moto_image_cache.rules(backend):
        raise RuleAlreadyExists(
            f"A pull through cache rule with the repository prefix {prefix} already exists"
        )


GUARDS = guards(
    ECRBackend,
    "https://docs.aws.amazon.com/AmazonECR/latest/APIReference/",
    (
        "create_pull_through_cache_rule",
        "CreatePullThroughCacheRule",
        secret_exists,
        prefix_is_free,
    ),
)
