"""The pull-through cache of ECR, which moto lacks.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
"""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend
from moto.ecr.responses import ECRResponse

Values = dict[str, Any]
CREATED = ("ecrRepositoryPrefix", "upstreamRegistryUrl", "credentialArn")


class RuleNotFound(ServiceException):
    code = "PullThroughCacheRuleNotFoundException"


def rules(backend: ECRBackend) -> dict[str, Values]:
    """The rules of a registry, by prefix."""
    return backend.__dict__.setdefault("pull_through_cache_rules", {})


def _one(backend: ECRBackend, prefix: str) -> Values:
    if prefix not in rules(backend):
        raise RuleNotFound(f"No pull through cache rule has the repository prefix {prefix}")
    return rules(backend)[prefix]


def _create(backend: ECRBackend, given: Values) -> Values:
    account = {"registryId": backend.account_id}
    created = {**given, **account, "createdAt": datetime.now(UTC).timestamp()}
    rules(backend)[given["ecrRepositoryPrefix"]] = created
    return created


def _given(response: ECRResponse) -> Values:
    given = {key: response._get_param(key) for key in CREATED}
    return {key: value for key, value in given.items() if value is not None}


def _on_create(response: ECRResponse) -> ActionResult:
    backend: Any = response.ecr_backend
    return ActionResult(backend.create_pull_through_cache_rule(_given(response)))


def _on_describe(response: ECRResponse) -> ActionResult:
    backend = response.ecr_backend
    prefixes = response._get_param("ecrRepositoryPrefixes") or list(rules(backend))
    return ActionResult({"pullThroughCacheRules": [_one(backend, each) for each in prefixes]})


def _on_update(response: ECRResponse) -> ActionResult:
    given = _given(response)
    rule = _one(response.ecr_backend, given["ecrRepositoryPrefix"])
    rule["credentialArn"] = given["credentialArn"]
    return ActionResult(rule)


def _on_delete(response: ECRResponse) -> ActionResult:
    prefix = response._get_param("ecrRepositoryPrefix")
    _one(response.ecr_backend, prefix)
    return ActionResult(rules(response.ecr_backend).pop(prefix))


def install(patches: ExitStack) -> None:
    """Add the operations to moto's ECR."""
    added = {
        (ECRBackend, "create_pull_through_cache_rule"): _create,
        (ECRResponse, "create_pull_through_cache_rule"): _on_create,
        (ECRResponse, "describe_pull_through_cache_rules"): _on_describe,
        (ECRResponse, "update_pull_through_cache_rule"): _on_update,
        (ECRResponse, "delete_pull_through_cache_rule"): _on_delete,
    }
    for (owner, name), operation in added.items():
        patches.enter_context(patch.object(owner, name, operation, create=True))
