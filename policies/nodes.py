"""Rules for the machines that pods run on."""

from collections.abc import Iterator
from typing import Any

from policies import chart_values, pods
from policies.rule import Finding, Rule
from policies.view import Resource, Stack, at, differs, is_, items

POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
WORKERS = "workers.celery"
# Where the Airflow chart takes tolerations from; the first is for all of its pods.
TOLERATIONS = (
    "tolerations",
    "scheduler.tolerations",
    "apiServer.tolerations",
    "dagProcessor.tolerations",
    "triggerer.tolerations",
    "statsd.tolerations",
    "workers.tolerations",
    "migrateDatabaseJob.tolerations",
    "createUserJob.tolerations",
    "databaseCleanup.tolerations",
)


def _metadata_needs_a_token(stack: Stack) -> Iterator[Finding]:
    for machine in stack.all(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/instance:Instance",
        "aws:ec2/launchConfiguration:LaunchConfiguration",
    ):
        value = machine.get("metadataOptions.httpTokens")
        if differs(value, "required"):
            yield Finding(
                resource=machine.name,
                urn=machine.urn,
                what=is_("metadataOptions.httpTokens", value),
                fix="Set it to required",
            )
    for group in stack.all(NODE_GROUP):
        if not group.inputs.get("launchTemplate"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=is_("launchTemplate", None),
                fix="Give it a launch template with httpTokens: required",
            )


def _is_spot(pool: Resource) -> bool:
    return any(
        requirement.get("key") == "karpenter.sh/capacity-type" and "spot" in requirement["values"]
        for requirement in items(pool.get("spec.template.spec.requirements"))
    )


def _repels(taints: Any) -> list[dict[str, Any]]:
    """Taints that keep pods away."""
    effects = ("NoSchedule", "NoExecute", "NO_SCHEDULE", "NO_EXECUTE")
    return [taint for taint in items(taints) if taint.get("effect") in effects]


def _pools(stack: Stack) -> Iterator[tuple[Resource, bool, list[dict[str, Any]]]]:
    """Nodes that come and go: the resource, whether it is spot, the taints that keep pods away."""
    for pool in stack.all(POOL):
        yield pool, _is_spot(pool), _repels(pool.get("spec.template.spec.taints"))
    for group in stack.all(NODE_GROUP):
        yield group, group.inputs.get("capacityType") == "SPOT", _repels(group.inputs.get("taints"))


def _tolerates(tolerations: Any, taint: dict[str, Any]) -> bool:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"""
    for toleration in items(tolerations):
        key, exists = toleration.get("key"), toleration.get("operator") == "Exists"
        if exists and key in (None, "", taint["key"]):
            return True
        if key == taint["key"] and not exists and toleration.get("value") == taint.get("value"):
            return True
    return False


def _tolerations(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    """Of every pod but the Celery workers."""
    for pod in pods.pods(stack):
        yield pod.resource, "tolerations", pod.spec.get("tolerations")
    for release in stack.all(chart_values.RELEASE):
        values = chart_values.of(release.inputs)
        for path in TOLERATIONS:
            yield release, path, at(values, path)


def _spot_is_for_workers(stack: Stack) -> Iterator[Finding]:
    for pool, spot, taints in _pools(stack):
        if spot and not taints:
            yield Finding(
                resource=pool.name,
                urn=pool.urn,
                what="has spot nodes and no taint",
                fix=f"Taint it with NoSchedule, and give {WORKERS} the toleration",
            )
        for taint in taints:
            for resource, path, tolerations in _tolerations(stack):
                if _tolerates(tolerations, taint):
                    yield Finding(
                        resource=resource.name,
                        urn=resource.urn,
                        what=f"{path} tolerate the taint {taint['key']} of {pool.name}",
                        fix=f"Take the toleration away: only {WORKERS} has it",
                    )


RULES = (
    Rule(
        name="metadata-needs-a-token",
        reason="Without IMDSv2 a task that fetches URLs can be made to fetch the credentials of its node",
        check=_metadata_needs_a_token,
    ),
    Rule(
        name="spot-is-for-workers",
        reason="AWS takes spot nodes away within two minutes: a worker's tasks are retried, a queue is lost",
        check=_spot_is_for_workers,
    ),
)
