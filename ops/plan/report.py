"""The plan of a stack: resources, chart values, queues, limits and policy results."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ops.plan import dag_queues, policy_report
from ops.plan.mock_engine import StackSnapshot
from policies import advisories, chart_values, versions
from policies.rules import PolicyReport
from policies.view import Resource, at
from settings import Settings, sizing
from settings.versions import AIRFLOW_VERSIONS, KEDA_CHART, KEDA_KUBERNETES, POSTGRES
from settings.workers import WorkerSettings

# Inputs that the plan shows, by resource type; dotted paths.
SHOWN_INPUTS: dict[str, tuple[str, ...]] = {
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone"),
    "aws:ec2/natGateway:NatGateway": ("subnetId",),
    "aws:ec2/route:Route": ("destinationCidrBlock", "gatewayId", "natGatewayId"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("serviceName",),
    "aws:ec2/flowLog:FlowLog": ("trafficType",),
    "aws:kms/key:Key": ("region", "enableKeyRotation"),
    "eks:index:Cluster": (
        "name",
        "version",
        "authenticationMode",
        "endpointPublicAccess",
        "publicAccessCidrs",
        "enabledClusterLogTypes",
        "deletionProtection",
    ),
    "aws:eks/accessEntry:AccessEntry": ("principalArn",),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": ("ecrRepositoryPrefix",),
    "aws:ecr/repository:Repository": ("name",),
    "aws:eks/addon:Addon": ("addonName",),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("serviceAccount", "roleArn"),
    "aws:rds/instance:Instance": (
        "identifier",
        "engineVersion",
        "instanceClass",
        "applyImmediately",
        "allocatedStorage",
        "maxAllocatedStorage",
        "multiAz",
        "storageEncrypted",
        "publiclyAccessible",
        "backupRetentionPeriod",
        "deletionProtection",
    ),
    "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": (
        "region",
        "sourceDbInstanceArn",
        "kmsKeyId",
        "retentionPeriod",
    ),
    "aws:rds/parameterGroup:ParameterGroup": ("parameters",),
    "aws:secretsmanager/secret:Secret": ("name", "replicas"),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString",),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "referencedSecurityGroupId",
        "cidrIpv4",
        "fromPort",
    ),
    "aws:s3/bucket:Bucket": ("region", "forceDestroy"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("rules",),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": ("rules",),
    "aws:s3/bucketVersioning:BucketVersioning": ("region", "versioningConfiguration.status"),
    "kubernetes:core/v1:Namespace": ("metadata.name", "metadata.labels"),
    "kubernetes:core/v1:Secret": ("metadata.name", "stringData"),
    "kubernetes:core/v1:PersistentVolumeClaim": ("spec.resources.requests.storage",),
    "kubernetes:batch/v1:CronJob": ("spec.schedule",),
    "kubernetes:batch/v1:Job": ("spec.template.spec.containers.0.image",),
    "kubernetes:apps/v1:StatefulSet": ("spec.template.spec.containers.0.image", "spec.replicas"),
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": (
        "spec.podSelector.matchLabels",
        "spec.ingress",
        "spec.egress",
    ),
    "kubernetes:helm.sh/v3:Release": ("chart", "version", "namespace"),
    "kubernetes:karpenter.sh/v1:NodePool": ("spec.template.spec.requirements",),
    "kubernetes:eks.amazonaws.com/v1:NodeClass": (
        "spec.ephemeralStorage.size",
        "spec.networkPolicy",
        "spec.tags",
    ),
    "kubernetes:eks.amazonaws.com/v1:IngressClassParams": (
        "spec.scheme",
        "spec.loadBalancerAttributes",
        "spec.tags",
    ),
    "kubernetes:storage.k8s.io/v1:StorageClass": ("parameters",),
    "pulumi:providers:kubernetes": ("context",),
}

# Chart values that the plan shows.
SHOWN_VALUES = (
    "executor",
    "defaultAirflowRepository",
    "defaultAirflowTag",
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
    """A limited resource: maximum need of Airflow, use at full load, and capacity."""

    name: str
    needed: int
    loaded: int
    available: int
    how: str

    def __str__(self) -> str:
        return f"{self.name}: {self.needed} of {self.available} ({self.how})"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The workers of one queue, and their resources at the maximum number of workers."""

    name: str
    settings: WorkerSettings
    own_nodes: bool
    # Of each of its nodes.
    node_disk_gb: int

    def __str__(self) -> str:
        queue = self.settings
        number = {
            "queue": f"{queue.min} to {queue.max} workers, scaled on tasks",
            "cpu": f"{queue.min} to {queue.max} workers, scaled on CPU",
            "fixed": f"{queue.max} workers",
        }[queue.scaling]
        capacity_type = "spot or on-demand" if queue.spot else "on-demand"
        nodes = (
            f"dedicated nodes, {capacity_type}, {queue.architecture}, {self.nodes}"
            if self.own_nodes
            else "shared nodes of the cluster"
        )
        disk = f", {queue.disk_gb} GiB disk" if self.own_nodes else ""
        gpu = f", {queue.gpu} GPU" if queue.gpu else ""
        return (
            f"{self.name}: {number}; each {queue.concurrency} slots, {queue.cpu:g} CPU, "
            f"{queue.memory_mb} MiB{disk}{gpu}; at most {self.slots} slots, {self.cpu:g} CPU, "
            f"{self.memory_mb / 1024:g} GiB, {self.connections} database connections; {nodes}; "
            f"grace period {queue.grace_seconds} s"
        )

    @property
    def slots(self) -> int:
        return sizing.task_slots([self.settings])

    @property
    def nodes(self) -> str:
        """Node capacity for the maximum number of workers."""
        cpu, memory_mb = sizing.worker_requests(self.settings)
        nodes = sizing.min_nodes(self.settings, self.node_disk_gb)
        return (
            f"at least {nodes} for {self.settings.max * cpu:g} CPU and "
            f"{self.settings.max * memory_mb / 1024:g} GiB including sidecars"
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
    snapshot: StackSnapshot
    chart_values: dict[str, Any]
    queues: list[Queue]
    limits: list[Limit]
    # What is installed, and until when or by what it is supported.
    versions: dict[str, str]
    warnings: list[str]
    policy_report: PolicyReport


def make(
    stack: str,
    settings: Settings,
    snapshot: StackSnapshot,
    dags: Path | None = None,
    today: date | None = None,
) -> Report:
    """Build the report. `dags`: checkout of the DAG repository; default: the seed folder."""
    if dags is None and settings.git_server is not None:
        dags = Path(settings.git_server.seed)
    own_nodes = settings.cluster.kind == "eks"
    disk_gb = sizing.node_disk_gb(settings.all_queues.values())
    policies = policy_report.evaluate(stack, snapshot, settings.policies, today)
    differences = dag_queues.differences(dags, stack, settings.all_queues) if dags else ()
    return Report(
        stack=stack,
        snapshot=snapshot,
        chart_values=shown_values(airflow_values(snapshot)),
        queues=[
            Queue(name=name, settings=queue, own_nodes=own_nodes, node_disk_gb=disk_gb)
            for name, queue in settings.all_queues.items()
        ],
        limits=limits(settings),
        versions=dict(versions_of(settings)),
        warnings=[*snapshot.warnings, *differences, *policies.warnings],
        policy_report=policies,
    )


def versions_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each version with the date or the tests that support it."""
    airflow = settings.airflow.version
    yield f"Airflow {airflow}", f"tested by {', '.join(AIRFLOW_VERSIONS[airflow])}"
    if settings.cluster.kind == "eks":
        kubernetes = settings.cluster.version
        if end := versions.KUBERNETES.get(kubernetes):
            yield f"Kubernetes {kubernetes}", f"standard support of EKS ends on {end}"
    if settings.installs_keda:
        tested = KEDA_KUBERNETES.get(KEDA_CHART.version.rpartition(".")[0], ())
        known = f"{tested[0]} to {tested[-1]}" if tested else "no version that is listed"
        yield f"KEDA {KEDA_CHART.version}", f"tested with Kubernetes {known}"
    if settings.database.kind == "rds":
        end = versions.POSTGRESQL[POSTGRES]
        yield f"PostgreSQL {POSTGRES}", f"standard support of RDS ends on {end}"
    yield "Security advisories", f"reviewed on {advisories.REVIEWED}"


def airflow_values(snapshot: StackSnapshot) -> dict[str, Any]:
    """All values of the release `airflow`, merged as Helm merges them."""
    return chart_values.of(snapshot.one(chart_values.RELEASE, "airflow-release").inputs)


def shown_values(all_values: dict[str, Any]) -> dict[str, Any]:
    """The values of `SHOWN_VALUES` that are set."""
    found = {path: at(all_values, path) for path in SHOWN_VALUES}
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
            name="API server heartbeats",
            needed=sizing.heartbeats(queues, airflow),
            loaded=sizing.heartbeats(queues, airflow),
            available=airflow.api_processes * sizing.heartbeats_of_process(),
            how=f"a second; one each {sizing.heartbeat_seconds(queues, airflow)} s of a running task; "
            f"{airflow.api_processes} process(es) x {sizing.heartbeats_of_process()}",
        ),
        Limit(
            name="database connections",
            needed=sizing.database_connections(queues, airflow),
            loaded=loaded,
            available=settings.database.max_connections,
            how=f"all pools full; about {loaded} at full load; limit: max_connections",
        ),
    ]


def shown_inputs(resource: Resource) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for path in SHOWN_INPUTS.get(resource.type, ()):
        value = _dig(resource.inputs, path.split("."))
        if value is not None:
            chosen[path.rpartition(".")[2]] = value
    return chosen


def _dig(value: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(value, list):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
