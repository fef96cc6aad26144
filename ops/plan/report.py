"""The plan as text: the resource tree with the facts that matter, then what a person would ask about."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ops.plan import dag_queues, policy_report, values
from ops.plan.mock_engine import Declaration
from ops.plan.values import at
from policies.rules import PolicyReport
from policies.view import Resource
from settings import Settings, sizing
from settings.workers import WorkerSettings

# What is worth reading of a resource: inputs by dotted path.
FACTS: dict[str, tuple[str, ...]] = {
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone"),
    "aws:ec2/natGateway:NatGateway": ("subnetId",),
    "aws:ec2/route:Route": ("destinationCidrBlock", "gatewayId", "natGatewayId"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("serviceName",),
    "aws:kms/key:Key": ("enableKeyRotation",),
    "eks:index:Cluster": (
        "version",
        "authenticationMode",
        "endpointPublicAccess",
        "publicAccessCidrs",
        "enabledClusterLogTypes",
        "deletionProtection",
    ),
    "aws:eks/addon:Addon": ("addonName",),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("serviceAccount", "roleArn"),
    "aws:rds/instance:Instance": (
        "engineVersion",
        "instanceClass",
        "allocatedStorage",
        "maxAllocatedStorage",
        "multiAz",
        "storageEncrypted",
        "publiclyAccessible",
        "backupRetentionPeriod",
        "deletionProtection",
    ),
    "aws:rds/parameterGroup:ParameterGroup": ("parameters",),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "referencedSecurityGroupId",
        "cidrIpv4",
        "fromPort",
    ),
    "aws:s3/bucket:Bucket": ("forceDestroy",),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("rules",),
    "kubernetes:core/v1:Namespace": ("metadata.name", "metadata.labels"),
    "kubernetes:core/v1:Secret": ("metadata.name", "stringData"),
    "kubernetes:core/v1:PersistentVolumeClaim": ("spec.resources.requests.storage",),
    "kubernetes:batch/v1:Job": ("spec.template.spec.containers.0.image",),
    "kubernetes:apps/v1:StatefulSet": ("spec.template.spec.containers.0.image", "spec.replicas"),
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": (
        "spec.podSelector.matchLabels",
        "spec.ingress",
    ),
    "kubernetes:helm.sh/v3:Release": ("chart", "version", "namespace"),
    "kubernetes:karpenter.sh/v1:NodePool": ("spec.template.spec.requirements",),
    "kubernetes:eks.amazonaws.com/v1:IngressClassParams": ("spec.scheme",),
    "pulumi:providers:kubernetes": ("context",),
}

# Chart values that a person asks about.
ASKED = (
    "executor",
    "defaultAirflowRepository",
    "airflowVersion",
    "defaultAirflowDigest",
    "dags.gitSync.enabled",
    "dags.gitSync.repo",
    "dags.gitSync.subPath",
    "dagProcessor.dagBundleConfigList",
    "scheduler.replicas",
    "apiServer.replicas",
    "dagProcessor.replicas",
    "triggerer.replicas",
    "scheduler.env",
    "config.celery.worker_concurrency",
    "config.api.base_url",
    "config.logging.remote_base_log_folder",
    "ingress.apiServer.hosts",
    "ingress.apiServer.annotations",
)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Something that Airflow uses, at the most and under full load, and how much of it there is."""

    name: str
    needed: int
    loaded: int
    available: int
    how: str

    def __str__(self) -> str:
        return f"{self.name}: {self.needed} of {self.available} ({self.how})"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The workers of one queue, and what they take when there are `max` of them."""

    name: str
    settings: WorkerSettings
    own_nodes: bool

    def __str__(self) -> str:
        of = self.settings
        number = {
            "queue": f"{of.min} to {of.max} workers by waiting tasks",
            "cpu": f"{of.min} to {of.max} workers by CPU",
            "fixed": f"{of.max} workers",
        }[of.scaling]
        capacity_type = "spot or on-demand" if of.spot else "on-demand"
        nodes = (
            f"own nodes, {capacity_type}, {of.architecture}, {self.nodes}"
            if self.own_nodes
            else "nodes of the cluster"
        )
        return (
            f"{self.name}: {number}, each {of.concurrency} tasks, {of.cpu:g} CPU, {of.memory_mb} MiB; "
            f"at most {self.slots} slots, {self.cpu:g} CPU, {self.memory_mb / 1024:g} GiB, "
            f"{self.connections} database connections; {nodes}; {of.grace_seconds} s to finish"
        )

    @property
    def slots(self) -> int:
        return sizing.task_slots([self.settings])

    @property
    def nodes(self) -> str:
        """What its nodes must have when all workers are there."""
        cpu, memory_mb = sizing.worker_requests(self.settings)
        return (
            f"{sizing.min_nodes(self.settings)} or more for {self.settings.max * cpu:g} CPU and "
            f"{self.settings.max * memory_mb / 1024:g} GiB with sidecars"
        )

    @property
    def cpu(self) -> float:
        return round(self.settings.max * self.settings.cpu, 2)

    @property
    def memory_mb(self) -> int:
        return self.settings.max * self.settings.memory_mb

    @property
    def connections(self) -> int:
        return sizing.worker_connections(self.settings)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `make plan` knows of a stack."""

    stack: str
    declaration: Declaration
    chart_values: dict[str, Any]
    queues: list[Queue]
    limits: list[Limit]
    warnings: list[str]
    policy_report: PolicyReport


def make(
    stack: str,
    settings: Settings,
    declaration: Declaration,
    dags: Path | None = None,
    today: date | None = None,
) -> Report:
    """`dags` is where the repository of the DAGs is at hand; a Git server in the cluster starts with one."""
    if dags is None and settings.git_server is not None:
        dags = Path(settings.git_server.seed)
    own_nodes = settings.cluster.kind == "eks"
    judged = policy_report.evaluate(stack, declaration, settings.policies, today)
    told = dag_queues.differences(dags, stack, settings.all_queues) if dags else ()
    return Report(
        stack=stack,
        declaration=declaration,
        chart_values=asked(values.of_airflow(declaration)),
        queues=[
            Queue(name=name, settings=queue, own_nodes=own_nodes)
            for name, queue in settings.all_queues.items()
        ],
        limits=limits(settings),
        warnings=[*declaration.warnings, *told, *judged.warnings],
        policy_report=judged,
    )


def asked(all_values: dict[str, Any]) -> dict[str, Any]:
    """The values of `ASKED` that are set."""
    found = {path: at(all_values, path) for path in ASKED}
    return {path: value for path, value in found.items() if value is not None}


def limits(settings: Settings) -> list[Limit]:
    queues, airflow = settings.all_queues.values(), settings.airflow
    workers = " + ".join(f"{each.max} workers x {each.concurrency} tasks" for each in queues)
    slots, loaded = sizing.task_slots(queues), sizing.loaded_connections(queues, airflow)
    return [
        Limit(
            name="worker slots",
            needed=slots,
            loaded=slots,
            available=sizing.schedulable_tasks(queues, airflow),
            how=f"{workers}; parallelism "
            f"{sizing.parallelism(queues, airflow)} x {airflow.replicas.scheduler} scheduler(s)",
        ),
        Limit(
            name="database connections",
            needed=sizing.database_connections(queues, airflow),
            loaded=loaded,
            available=settings.database.max_connections,
            how=f"every pool full; about {loaded} when every slot has a task; "
            "max_connections of the database",
        ),
    ]


def facts(resource: Resource) -> dict[str, Any]:
    """The inputs of a resource that are worth reading."""
    chosen: dict[str, Any] = {}
    for path in FACTS.get(resource.type, ()):
        value = _dig(resource.inputs, path.split("."))
        if value is not None:
            chosen[path.rpartition(".")[2]] = value
    return chosen


def text(report: Report) -> Iterator[str]:
    """Lines for a person."""
    tree = report.declaration
    yield f"{report.stack}: {len(tree.resources)} resources"
    roots = sorted({r.parent for r in tree.resources.values()} - tree.resources.keys())
    for root in roots:
        yield from _branch(tree, root, depth=1)
    yield ""
    yield "Chart values"
    for path, value in report.chart_values.items():
        yield f"  {path}: {_inline(value)}"
    yield ""
    yield "Queues"
    for queue in report.queues:
        yield f"  {queue}"
    yield ""
    yield "Limits"
    for limit in report.limits:
        yield f"  {limit}"
    yield ""
    yield f"Exports: {_inline(tree.exports)}"
    yield from _listed("Excused from rules", report.policy_report.excused)
    yield from _listed("Warnings", report.warnings)
    yield from _listed("Broken rules", report.policy_report.broken)


def as_json(report: Report) -> dict[str, Any]:
    """The same for machines. Secrets are the text `[secret]`."""
    return {
        "stack": report.stack,
        "resources": [
            {
                "urn": r.urn,
                "type": r.type,
                "name": r.name,
                "parent": r.parent,
                "protect": r.protect,
                "inputs": r.inputs,
                "depends_on": sorted(r.depends_on),
            }
            for r in sorted(report.declaration.resources.values(), key=lambda r: r.urn)
        ],
        "chart_values": report.chart_values,
        "queues": [
            {
                "name": queue.name,
                **queue.settings.model_dump(),
                "slots": queue.slots,
                "connections": queue.connections,
            }
            for queue in report.queues
        ],
        "limits": [vars(limit) for limit in report.limits],
        "exports": report.declaration.exports,
        "broken_rules": report.policy_report.broken,
        "warnings": report.warnings,
        "excused": report.policy_report.excused,
    }


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}: {len(lines) or 'none'}"
    for line in lines:
        yield f"  {line}"


def _branch(tree: Declaration, parent: str, depth: int) -> Iterator[str]:
    for resource in tree.children(parent):
        kind = resource.type.rpartition(":")[2]
        marks = " [protected]" if resource.protect else ""
        known = ", ".join(f"{key} {_inline(value)}" for key, value in facts(resource).items())
        yield f"{'  ' * depth}{kind} {resource.name}{marks}{'  ' + known if known else ''}"
        yield from _branch(tree, resource.urn, depth + 1)


def _inline(value: Any) -> str:
    """One line, without the quotes and braces that only a parser needs."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key}: {_inline(inner)}" for key, inner in sorted(value.items()))
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


def _dig(value: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(value, list):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
