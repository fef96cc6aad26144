"""Rules for nodes."""

import re
from collections.abc import Iterator
from typing import Any

from policies import chart_values, pods
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, as_list, at, describe, differs

POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
WORKERS = "workers.celery"
GENERATION = "eks.amazonaws.com/instance-generation"
OLD_GENERATION = 4
FAMILY = "eks.amazonaws.com/instance-family"
# Accelerated instances of generation 4, such as g4dn and p4d, are sold besides their successors.
OLD_FAMILY = re.compile(rf"^(?!g|p|inf|trn)[a-z]+[1-{OLD_GENERATION}]([a-z-]|$)")
# Tolerations in the values of the Airflow chart; the first applies to all of its pods.
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


def _imdsv2_is_required(stack: Stack) -> Iterator[Finding]:
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
                what=describe("metadataOptions.httpTokens", value),
                fix="Set it to required",
            )
    for group in stack.all(NODE_GROUP):
        if not group.inputs.get("launchTemplate"):
            yield Finding(
                resource=group.name,
                urn=group.urn,
                what=describe("launchTemplate", None),
                fix="Use a launch template with metadataOptions.httpTokens: required",
            )


def _is_spot(pool: Resource) -> bool:
    return any(
        requirement.get("key") == "karpenter.sh/capacity-type" and "spot" in requirement["values"]
        for requirement in as_list(pool.get("spec.template.spec.requirements"))
    )


def _excludes_old(requirement: dict[str, Any]) -> bool:
    values = requirement.get("values", [])
    if requirement.get("key") == GENERATION and requirement.get("operator") == "Gt":
        return int(values[0]) >= OLD_GENERATION
    listed = requirement.get("key") == FAMILY and requirement.get("operator") == "In"
    return listed and not any(OLD_FAMILY.match(family) for family in values)


def _generation_is_current(stack: Stack) -> Iterator[Finding]:
    for pool in stack.all(POOL):
        requirements = pool.get("spec.template.spec.requirements")
        limited = any(_excludes_old(requirement) for requirement in as_list(requirements))
        if not limited and requirements is not UNKNOWN:
            yield Finding(
                resource=pool.name,
                urn=pool.urn,
                what=f"spec.template.spec.requirements do not limit {GENERATION}",
                fix=f'Require {GENERATION} Gt "{OLD_GENERATION}", or list newer families in {FAMILY} '
                "(workers.instance_families)",
            )


def _excluding(taints: Any) -> list[dict[str, Any]]:
    """The taints with effect NoSchedule or NoExecute."""
    effects = ("NoSchedule", "NoExecute", "NO_SCHEDULE", "NO_EXECUTE")
    return [taint for taint in as_list(taints) if taint.get("effect") in effects]


def _pools(stack: Stack) -> Iterator[tuple[Resource, bool, list[dict[str, Any]]]]:
    """Node pools and node groups: the resource, whether it has spot nodes, its taints."""
    for pool in stack.all(POOL):
        yield pool, _is_spot(pool), _excluding(pool.get("spec.template.spec.taints"))
    for group in stack.all(NODE_GROUP):
        yield (
            group,
            group.inputs.get("capacityType") == "SPOT",
            _excluding(group.inputs.get("taints")),
        )


def _tolerates(tolerations: Any, taint: dict[str, Any]) -> bool:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"""
    for toleration in as_list(tolerations):
        key, exists = toleration.get("key"), toleration.get("operator") == "Exists"
        if exists and key in (None, "", taint["key"]):
            return True
        if key == taint["key"] and not exists and toleration.get("value") == taint.get("value"):
            return True
    return False


def _tolerations(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    """Tolerations of all pods except the Celery workers."""
    for pod in pods.pods(stack):
        yield pod.resource, "tolerations", pod.spec.get("tolerations")
    for release in stack.all(chart_values.RELEASE):
        values = chart_values.of(release.inputs)
        for path in TOLERATIONS:
            yield release, path, at(values, path)


def _spot_only_for_workers(stack: Stack) -> Iterator[Finding]:
    for pool, spot, taints in _pools(stack):
        if spot and not taints:
            yield Finding(
                resource=pool.name,
                urn=pool.urn,
                what="the spot nodes have no NoSchedule or NoExecute taint",
                fix=f"Add a NoSchedule taint, and a matching toleration to {WORKERS}",
            )
        for taint in taints:
            for resource, path, tolerations in _tolerations(stack):
                if _tolerates(tolerations, taint):
                    yield Finding(
                        resource=resource.name,
                        urn=resource.urn,
                        what=f"{path} tolerate the taint {taint['key']} of {pool.name}",
                        fix=f"Remove the toleration: only {WORKERS} may have it",
                    )


RULES = (
    Rule(
        name="imdsv2-required",
        former_name="metadata-needs-a-token",
        reason="With IMDSv1, a server-side request forgery in a task exposes the credentials of the node",
        check=_imdsv2_is_required,
    ),
    Rule(
        name="node-generation-current",
        reason="EKS offers machines of 2015, such as m4, which cost more for the same work",
        check=_generation_is_current,
        excusable=True,
    ),
    Rule(
        name="spot-only-for-workers",
        former_name="spot-is-for-workers",
        reason="AWS interrupts spot nodes with two minutes' notice, and only Celery tasks are retried",
        check=_spot_only_for_workers,
    ),
)
