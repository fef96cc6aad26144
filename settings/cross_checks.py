"""Checks across sections: each reads several sections of a stack file and yields mistakes."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import arns, limits, options, sizing
from settings.airflow import (
    DERIVED_OPTIONS,
    FAB_AUTH_MANAGER,
    OFFICIAL_IMAGE,
    AirflowSettings,
)
from settings.charts import ChartSettings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.dags import DagSettings
from settings.database import (
    ContainerDatabaseSettings,
    ExistingDatabaseSettings,
    RdsSettings,
)
from settings.git_server import GitServerSettings
from settings.images import ImageSettings
from settings.keda import KedaSettings
from settings.logs import TASK_LOGS, LogSettings
from settings.network import ExistingNetworkSettings, NetworkSettings
from settings.proxy import NAMES as PROXY_VARIABLES
from settings.proxy import ProxySettings
from settings.sso import BUILT_IN_ROLES
from settings.stack import Settings
from settings.versions import (
    AIRFLOW_CHART,
    KEDA_CHART,
    KEDA_KUBERNETES,
    KEDA_KUBERNETES_SOURCE,
)
from settings.workers import DEFAULT_QUEUE, WorkerSettings, all_queues, key_of, need_keda

# Set on the API server, whose environment takes precedence over airflow.cfg.
SESSION_OPTIONS = ("fab.session_lifetime_minutes", "api_auth.jwt_expiration_time")
# Of XComs in the bucket.
XCOM_OPTIONS = ("core.xcom_backend", "common.io.xcom_objectstorage_path")
LOG_TEMPLATE = "logging.log_filename_template"

# (full key, what is wrong and what to do)
Mistake = tuple[str, str]


class InvalidSection(Exception):  # noqa: N818, it is no error of the program
    """A check read a section that has mistakes of its own."""


@dataclass(frozen=True)
class Sections:
    """The valid sections of a stack file, by name, and the Region of the stack as `region`.

    Reading any other raises `InvalidSection`.
    """

    valid: Mapping[str, Any]

    def _read(self, name: str) -> Any:
        if name not in self.valid:
            raise InvalidSection(name)
        return self.valid[name]

    @property
    def cluster(self) -> EksSettings | ExistingClusterSettings:
        return self._read("cluster")

    @property
    def network(self) -> NetworkSettings | ExistingNetworkSettings | None:
        return self._read("network")

    @property
    def database(self) -> RdsSettings | ContainerDatabaseSettings | ExistingDatabaseSettings:
        return self._read("database")

    @property
    def dags(self) -> DagSettings:
        return self._read("dags")

    @property
    def git_server(self) -> GitServerSettings | None:
        return self._read("git_server")

    @property
    def queues(self) -> dict[str, WorkerSettings]:
        """`workers` and `queues` together."""
        return all_queues(self._read("workers"), self._read("queues"))

    @property
    def keda(self) -> KedaSettings:
        return self._read("keda")

    @property
    def airflow(self) -> AirflowSettings:
        return self._read("airflow")

    @property
    def images(self) -> ImageSettings:
        return self._read("images")

    @property
    def logs(self) -> LogSettings:
        return self._read("logs")

    @property
    def proxy(self) -> ProxySettings:
        return self._read("proxy")

    @property
    def region(self) -> str | None:
        """`aws:region` of the stack file."""
        return self._read("region")

    @property
    def charts(self) -> ChartSettings:
        return self._read("charts")


def _network_matches_cluster(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind == "eks" and stack.network is None:
        yield "network", "is required for cluster.kind: eks; write `network: {}` for the defaults"
    if stack.cluster.kind == "eks" or (network := stack.network) is None:
        return
    if network.kind == "new":
        yield (
            "network",
            "needs cluster.kind: eks; an existing cluster has its own network: remove this section, or "
            "name the network with kind: existing for database.kind: rds",
        )
    elif stack.database.kind != "rds":
        yield "network", "needs database.kind: rds on an existing cluster; remove this section"


def _database_matches_cluster(stack: Sections) -> Iterator[Mistake]:
    cluster, database = stack.cluster, stack.database
    if cluster.kind == "eks" and database.kind == "container":
        yield (
            "database.kind",
            "container is for cluster.kind: existing: its dumps are of last night, and in one zone; use rds",
        )
    if cluster.kind == "eks":
        return
    if database.kind == "existing" and database.security_group_id is not None:
        yield (
            "database.security_group_id",
            "needs cluster.kind: eks; admit the nodes of the existing cluster yourself: remove this setting",
        )
    if database.kind != "rds":
        return
    if stack.network is None:
        yield (
            "network",
            "is required for database.kind: rds; name a VPC that the existing cluster reaches, with "
            "kind: existing",
        )
    if not database.client_security_group_ids and not database.client_cidrs:
        yield (
            "database.client_security_group_ids",
            "is required on an existing cluster, unless client_cidrs is set: list the security group of "
            "its nodes",
        )
    if stack.region is None:
        # `make` finds the account of the stack by its Region.
        yield (
            "database.kind",
            "rds needs aws:region, the Region of network.vpc_id, in the stack file",
        )


def _nat_survives_zone_failure(stack: Sections) -> Iterator[Mistake]:
    network, database = stack.network, stack.database
    if network is None or network.kind == "existing" or database.kind != "rds":
        return
    if network.nat == "single" and network.az_count > 2 and database.protect:
        yield (
            "network.nat",
            "single is a single point of failure: without its zone, no zone reaches Git or pulls "
            "images; use per_az for a protected database in three zones",
        )


def _load_balancer_has_subnets(stack: Sections) -> Iterator[Mistake]:
    network, ingress = stack.network, stack.airflow.ingress
    if network is None or network.kind != "existing" or ingress is None:
        return
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    if ingress.scheme == "internet-facing" and len(network.public_subnet_ids) < 2:
        yield (
            "network.public_subnet_ids",
            "should list subnets in two zones for airflow.ingress.scheme: internet-facing, got "
            f"{len(network.public_subnet_ids)}; list them, or use scheme: internal",
        )


def _aws_settings_need_eks(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind == "eks":
        return
    for name, queue in stack.queues.items():
        if queue.spot:
            yield f"{key_of(name)}.spot", "needs cluster.kind: eks"
        if "architecture" in queue.model_fields_set:
            yield (
                f"{key_of(name)}.architecture",
                "needs cluster.kind: eks; node architecture cannot be chosen for an existing cluster: "
                "remove this setting",
            )
        if "disk_gb" in queue.model_fields_set:
            yield (
                f"{key_of(name)}.disk_gb",
                "needs cluster.kind: eks; nodes of an existing cluster may not manage their disk: remove "
                "this setting",
            )
        if queue.instance_families is not None:
            yield f"{key_of(name)}.instance_families", "needs cluster.kind: eks"
        if queue.iam_policy_arn:
            yield f"{key_of(name)}.iam_policy_arn", "needs cluster.kind: eks"
    for component in stack.airflow.iam_policy_arns.set():
        yield f"airflow.iam_policy_arns.{component}", "needs cluster.kind: eks"
    if stack.airflow.ingress:
        yield "airflow.ingress", "needs cluster.kind: eks: it configures the load balancer of EKS"
    if stack.images.docker_hub_secret_arn:
        yield (
            "images.docker_hub_secret_arn",
            "needs cluster.kind: eks: the cache is in ECR, which the nodes of an existing cluster may not "
            "be able to read; remove this setting, and set images.registry to a mirror",
        )
    if stack.logs.replicate_to is not None:
        yield (
            "logs.replicate_to",
            "needs cluster.kind: eks; replicate your own log bucket yourself: remove this setting",
        )
    if stack.logs.protect:
        yield (
            "logs.protect",
            "needs cluster.kind: eks; for an existing cluster the program creates no log bucket that it "
            "could protect: remove this setting",
        )


def _eks_has_its_own_log_bucket(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind == "eks" and stack.logs.bucket is not None:
        yield (
            "logs.bucket",
            "needs cluster.kind: existing; on EKS the program creates the bucket for task logs: remove "
            "this setting",
        )


def _large_xcoms_have_a_bucket(stack: Sections) -> Iterator[Mistake]:
    airflow, key = stack.airflow, "airflow.xcom_bucket"
    if not airflow.xcom_bucket:
        return
    if airflow.image == OFFICIAL_IMAGE:
        yield (
            key,
            f"needs the Python package s3fs, which the image {OFFICIAL_IMAGE} lacks; build an image with it "
            "(docs/dags.md#python-packages) and set airflow.image, or remove this setting",
        )
    if stack.cluster.kind == "existing" and stack.logs.bucket is None:
        yield key, "needs a bucket on an existing cluster; set logs.bucket, or remove this setting"
    for section, given in airflow.config.items():
        for option, value in given.items():
            name = f"{section}.{option}".lower()
            if name in XCOM_OPTIONS:
                yield (
                    f"airflow.config.{section}.{option}",
                    f"is set by {key}; remove one of the two",
                )
            is_ours = stack.cluster.kind == "eks" and name == LOG_TEMPLATE
            if is_ours and not str(value).startswith(TASK_LOGS):
                yield (
                    f"airflow.config.{section}.{option}",
                    f"should start with {TASK_LOGS} if {key} is set, got {value!r}: by this prefix S3 "
                    "expires task logs, and keeps XComs longer",
                )
    yield from _no_xcom_is_between(stack)


def _no_xcom_is_between(stack: Sections) -> Iterator[Mistake]:
    """Too large for the database, and too small for the bucket."""
    given = stack.airflow.config.get("common.io", {}).get("xcom_objectstorage_threshold")
    threshold = limits.XCOM_BUCKET_BYTES if given is None else given
    key = "airflow.config.common.io.xcom_objectstorage_threshold"
    try:
        smallest = int(threshold)
    except ValueError:
        yield key, f"should be a number of bytes, got {threshold!r}"
        return
    if smallest < 0:
        yield key, f"should be 0 or more, got {smallest}: no XCom would be in the bucket"
    for name, queue in stack.queues.items():
        if queue.xcom_limit_mb and smallest > queue.xcom_limit_mb * 2**20:
            yield (
                key,
                f"{smallest} is more than the {queue.xcom_limit_mb} MiB of {key_of(name)}.xcom_limit_mb: "
                "XComs between the two would fail their task; lower it, or raise the limit",
            )


def _arns_are_usable(stack: Sections) -> Iterator[Mistake]:
    if stack.region is not None:
        yield from arns.misplaced(stack.valid, stack.region)


def _recovery_region_is_usable(stack: Sections) -> Iterator[Mistake]:
    region, database = stack.region, stack.database
    if isinstance(database, RdsSettings):
        yield from _second_region("database.replicate_to", database.replicate_to, region)
    if stack.cluster.kind == "eks":
        yield from _second_region("logs.replicate_to", stack.logs.replicate_to, region)


def _second_region(key: str, second: str | None, region: str | None) -> Iterator[Mistake]:
    if second is None or region is None:
        return
    if second == region:
        yield key, f"is the Region of the stack (aws:region); choose another one, got {second!r}"
    elif arns.partition(second) != arns.partition(region):
        yield (
            key,
            f"is in the partition {arns.partition(second)}, but {region} (aws:region) is in "
            f"{arns.partition(region)}, and AWS replicates within a partition, got {second!r}",
        )
    elif arns.partition(region) == "aws-us-gov" and key.startswith("database."):
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_StartDBInstanceAutomatedBackupsReplication.html
        yield (
            key,
            "is not supported in AWS GovCloud, where AWS requires a presigned URL: remove this setting",
        )


def _git_protocol_needs_git_server(stack: Sections) -> Iterator[Mistake]:
    for name, repository in stack.dags.all_repositories.items():
        repo = repository.repo
        if repo.startswith("git://") and stack.git_server is None:
            yield (
                f"{_dags_key(name)}.repo",
                f"git:// is neither encrypted nor verified; use https:// or ssh://, got {repo!r}",
            )


def _git_server_needs_branch(stack: Sections) -> Iterator[Mistake]:
    for name, repository in stack.dags.all_repositories.items():
        for key, ref in (("tag", repository.tag), ("commit", repository.commit)):
            if repository.repo.startswith("git://") and ref:
                yield (
                    f"{_dags_key(name)}.{key}",
                    "the Git server of the stack starts with one branch only; use dags.branch",
                )


def _dags_key(repository: str) -> str:
    return f"dags.repositories.{repository}" if repository else "dags"


def _a_user_can_sign_in(stack: Sections) -> Iterator[Mistake]:
    airflow = stack.airflow
    if airflow.creates_admin and airflow.sso is None and not airflow.admin_user:
        yield "airflow.admin_user", "false needs airflow.sso: without it, no user could sign in"


def _sso_configures_fab(stack: Sections) -> Iterator[Mistake]:
    if stack.airflow.sso is None:
        return
    for section, given in stack.airflow.config.items():
        for option, value in given.items():
            name = f"{section}.{option}".lower()
            if name in SESSION_OPTIONS:
                yield (
                    f"airflow.config.{name}",
                    "is set by airflow.sso.session_hours; remove this option",
                )
            if name == "core.auth_manager" and value != FAB_AUTH_MANAGER:
                yield (
                    f"airflow.config.{name}",
                    f"{value} does not read airflow.sso, which configures {FAB_AUTH_MANAGER}; remove one "
                    "of the two",
                )


def _webhook_needs_ingress(stack: Sections) -> Iterator[Mistake]:
    # An existing cluster may have an ingress of its own, which this program does not know.
    if stack.cluster.kind == "eks" and stack.dags.webhook and stack.airflow.ingress is None:
        yield (
            "dags.webhook",
            "needs airflow.ingress: without a load balancer the Git host cannot call the webhook",
        )


def _image_supports_nodes(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind != "eks":
        return
    airflow = stack.airflow
    built = airflow.image_architectures
    nodes = {"cluster": stack.cluster.architecture}
    nodes |= {key_of(name): queue.architecture for name, queue in stack.queues.items()}
    for key, architecture in nodes.items():
        if architecture not in built:
            yield (
                f"{key}.architecture",
                f"{architecture} is not an architecture of the image {airflow.image}: use "
                f"{' or '.join(built)}, or add {architecture} to airflow.architectures if the image "
                "supports it",
            )


def _parallelism_covers_slots(stack: Sections) -> Iterator[Mistake]:
    airflow = stack.airflow
    queues = stack.queues.values()
    slots = sizing.task_slots(queues)
    limit = sizing.schedulable_tasks(queues, airflow)
    if slots > limit:
        yield (
            "airflow.parallelism",
            f"{airflow.parallelism} with {airflow.replicas.scheduler} scheduler(s) limits Airflow to {limit} "
            f"running tasks, but max x concurrency of all queues is {slots}; raise or remove it",
        )


def _api_servers_answer_heartbeats(stack: Sections) -> Iterator[Mistake]:
    airflow, queues = stack.airflow, stack.queues.values()
    sent = sizing.heartbeats(queues, airflow)
    answered = airflow.api_processes * sizing.heartbeats_of_process()
    if sent > answered:
        processes = math.ceil(sent / sizing.heartbeats_of_process())
        yield (
            "airflow.replicas.api_server",
            f"{airflow.replicas.api_server} with {airflow.api_processes} process(es) in total answer "
            f"{answered} heartbeats a second, but {sizing.running_tasks(queues, airflow)} running tasks "
            f"send {sent}, one each in {sizing.heartbeat_seconds(queues, airflow)} s: tasks would time "
            f"out; {processes} processes are needed: raise it, or set airflow.config.api.workers, the "
            f"processes of each API server, or lower {_max_keys(stack.queues)}",
        )


def _connections_fit_database(stack: Sections) -> Iterator[Mistake]:
    queues, database = stack.queues, stack.database
    needed = sizing.database_connections(queues.values(), stack.airflow)
    if needed > database.max_connections:
        yield (
            "database",
            f"accepts {database.max_connections} connections, but Airflow with all its workers opens up "
            f"to {needed}; {_MORE_CONNECTIONS[database.kind]} {_max_keys(queues)}",
        )


_MORE_CONNECTIONS = {
    "rds": "use a larger instance_class, or lower",
    "existing": "raise max_connections if the server has them, or lower",
    "container": "lower",
}


def _max_keys(queues: Iterable[str]) -> str:
    return " or ".join(f"{key_of(name)}.max" for name in queues)


def _namespace_has_no_other_use(stack: Sections) -> Iterator[Mistake]:
    name = stack.cluster.namespace
    if name == "default" or name.startswith("kube-"):
        yield (
            "cluster.namespace",
            f"{name} belongs to Kubernetes; use another name, such as airflow",
        )
    if need_keda(stack.queues.values()) and name == stack.keda.namespace:
        yield "cluster.namespace", f"{name} is the namespace of KEDA; use another name"


def _existing_keda_needs_existing_cluster(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind == "eks" and stack.keda.existing:
        yield "keda.existing", "needs cluster.kind: existing; a new EKS cluster has no KEDA"


def _namespaces_can_be_created(stack: Sections) -> Iterator[Mistake]:
    cluster = stack.cluster
    if cluster.kind == "eks" or cluster.create_namespace:
        return
    queues, key = stack.queues, "cluster.create_namespace"
    if need_keda(queues.values()) and not stack.keda.existing:
        yield (
            key,
            "false does not allow the namespace of KEDA; set keda.existing: true, or scaling of each "
            "queue to cpu or fixed",
        )
    pods = [f"{key_of(name)}.pod_operator" for name, queue in queues.items() if queue.pod_operator]
    if pods:
        yield key, f"false does not allow the namespace of task pods; remove {' and '.join(pods)}"


def _worker_fits_node(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind != "eks":
        return
    for name, queue in stack.queues.items():
        cpu, memory_mb = sizing.worker_requests(queue)
        if cpu > limits.POD_CPU:
            yield (
                f"{key_of(name)}.cpu",
                f"{queue.cpu:g} plus sidecars requests {cpu:g} CPU, but the largest node has "
                f"{limits.POD_CPU:g} CPU for pods: no worker could be scheduled; lower it",
            )
        if memory_mb > limits.POD_MB:
            yield (
                f"{key_of(name)}.memory_mb",
                f"{queue.memory_mb} plus sidecars requests {memory_mb} MiB, but the largest node has "
                f"{limits.POD_MB} MiB for pods: no worker could be scheduled; lower it",
            )
        disk = sizing.node_disk_gb([queue])
        if disk > limits.MAX_NODE_DISK_GB:
            yield (
                f"{key_of(name)}.disk_gb",
                f"{queue.disk_gb} plus images needs a node disk of {disk} GiB, but EKS allows "
                f"{limits.MAX_NODE_DISK_GB} GiB; lower it",
            )


def _worker_disk_holds_dags(stack: Sections) -> Iterator[Mistake]:
    if stack.cluster.kind != "eks" or stack.dags.mode != "git-sync":
        return
    needed = stack.dags.checkout_mb + limits.WORKER_DISK_MB
    each = " of each repository" if stack.dags.repositories else ""
    for name, queue in stack.queues.items():
        if queue.disk_gb * 1024 < needed:
            yield (
                f"{key_of(name)}.disk_gb",
                f"{queue.disk_gb} GiB is less than the {needed} MiB for four times dags.max_mb{each} and log "
                "files: the kubelet would evict the workers; raise it, or lower dags.max_mb",
            )


def _airflow_reads_every_option(stack: Sections) -> Iterator[Mistake]:
    airflow = stack.airflow
    found = options.mistakes(airflow.config, version=airflow.version, taken=DERIVED_OPTIONS)
    for name, what in found:
        if name.lower() not in DERIVED_OPTIONS:
            yield f"airflow.config.{name}", what


def _default_queue_has_workers(stack: Sections) -> Iterator[Mistake]:
    queue = stack.airflow.config.get("operators", {}).get("default_queue", DEFAULT_QUEUE)
    if queue not in stack.queues:
        yield (
            "airflow.config.operators.default_queue",
            f"{queue} is no queue of this stack, and its tasks would never start; use one of "
            f"{', '.join(stack.queues)}, or add queues.{queue}",
        )


def _with_variables(stack: Sections) -> Iterator[tuple[str, AirflowSettings | WorkerSettings]]:
    """Key and settings of everything that has environment variables."""
    yield "airflow", stack.airflow
    yield from ((key_of(name), queue) for name, queue in stack.queues.items())


def _variables_are_free(stack: Sections) -> Iterator[Mistake]:
    airflow = stack.airflow
    for key, of in _with_variables(stack):
        found = options.variable_mistakes(
            of.env,
            of.secret_env,
            version=airflow.version,
            derived=DERIVED_OPTIONS,
            queue=of is not airflow,
        )
        yield from ((f"{key}.{name}", what) for name, what in found)
        for name in () if of is airflow else (*of.env, *of.secret_env):
            if name in (*airflow.env, *airflow.secret_env):
                yield (
                    f"{key}.{'env' if name in of.env else 'secret_env'}.{name}",
                    "is set under airflow for all components, too; set it for each queue instead",
                )


def _program_sets_a_variable(stack: Sections) -> Iterator[Mistake]:
    reasons: dict[str, str] = {}
    if stack.cluster.kind == "eks":
        reasons["AIRFLOW_CONN_AWS_DEFAULT"] = (
            "is the connection of the task logs; use another connection id"
        )
    if stack.airflow.ingress is not None:
        reasons["FORWARDED_ALLOW_IPS"] = "is set by airflow.ingress"
    if stack.proxy.is_set:
        reasons |= dict.fromkeys(PROXY_VARIABLES, "is set by the section proxy; remove it here")
    for key, of in _with_variables(stack):
        taken = dict(reasons)
        if isinstance(of, WorkerSettings) and of.pod_operator:
            taken["AIRFLOW_CONN_KUBERNETES_DEFAULT"] = "is set by pod_operator"
        for kind, given in (("env", of.env), ("secret_env", of.secret_env)):
            yield from ((f"{key}.{kind}.{n}", taken[n]) for n in given if n in taken)


def _pods_need_no_proxy(stack: Sections) -> Iterator[Mistake]:
    proxy = stack.proxy
    in_networks = any("/" in direct for direct in proxy.no_proxy)
    if stack.cluster.kind == "existing" and proxy.http is not None and not in_networks:
        yield (
            "proxy.no_proxy",
            "should list the pod network of the cluster, such as 10.244.0.0/16: with proxy.http, the API "
            "server would request the log of a running task from the address of its worker through the "
            "proxy",
        )


def _chart_directory_is_complete(stack: Sections) -> Iterator[Mistake]:
    source = stack.charts.source
    if source is None or "://" in source:
        return
    installs_keda = need_keda(stack.queues.values()) and not stack.keda.existing
    needed = [AIRFLOW_CHART, KEDA_CHART] if installs_keda else [AIRFLOW_CHART]
    missing = [chart.archive for chart in needed if not Path(source, chart.archive).is_file()]
    if missing:
        yield (
            "charts.source",
            f"{source} lacks {' and '.join(missing)}; run `make charts CHARTS={source}`",
        )


CHECKS = (
    _network_matches_cluster,
    _database_matches_cluster,
    _nat_survives_zone_failure,
    _load_balancer_has_subnets,
    _aws_settings_need_eks,
    _arns_are_usable,
    _recovery_region_is_usable,
    _eks_has_its_own_log_bucket,
    _large_xcoms_have_a_bucket,
    _git_protocol_needs_git_server,
    _git_server_needs_branch,
    _a_user_can_sign_in,
    _sso_configures_fab,
    _webhook_needs_ingress,
    _image_supports_nodes,
    _parallelism_covers_slots,
    _api_servers_answer_heartbeats,
    _connections_fit_database,
    _namespace_has_no_other_use,
    _existing_keda_needs_existing_cluster,
    _namespaces_can_be_created,
    _worker_fits_node,
    _worker_disk_holds_dags,
    _airflow_reads_every_option,
    _default_queue_has_workers,
    _variables_are_free,
    _program_sets_a_variable,
    _pods_need_no_proxy,
    _chart_directory_is_complete,
)


def mistakes(sections: Mapping[str, Any]) -> Iterator[Mistake]:
    """Run every check on the valid sections. An invalid section only ends the checks that read it."""
    stack = Sections(sections)
    for check in CHECKS:
        with suppress(InvalidSection):
            yield from check(stack)


def warnings(stack: Settings) -> Iterator[Mistake]:
    """Valid settings with a consequence that is easy to miss."""
    yield from _only_nodes_reach_the_endpoint(stack)
    yield from _spot_ends_long_tasks(stack)
    yield from _logs_end_with_their_pod(stack)
    yield from _keda_is_untested(stack)
    yield from _options_are_unlisted(stack)
    yield from _role_is_built_in(stack)
    yield from _git_ignores_the_proxy(stack)
    yield from _nothing_uses_it(stack)


def _nothing_uses_it(stack: Settings) -> Iterator[Mistake]:
    """Settings of a part that the stack does not have."""
    on_aws = stack.cluster.kind == "eks" or stack.database.kind == "rds"
    for section, names, is_used, needs in (
        ("task_pods", stack.task_pods.model_fields_set, stack.pod_queues, "pod_operator: true"),
        ("keda", stack.keda.model_fields_set, stack.needs_keda, "scaling: queue"),
        ("rotation", {"keda"}, stack.needs_keda, "scaling: queue"),
        ("rotation", {"webhook"}, stack.dags.webhook, "dags.webhook: true"),
        (
            "kubernetes",
            {"namespace_labels", "namespace_annotations"},
            stack.creates_namespace,
            "cluster.create_namespace: true",
        ),
        ("logs", {"retention_days"}, on_aws, "cluster.kind: eks or database.kind: rds"),
    ):
        for name in sorted(names & getattr(stack, section).model_fields_set):
            if not is_used:
                yield f"{section}.{name}", f"has no effect without {needs}"


def _only_nodes_reach_the_endpoint(stack: Settings) -> Iterator[Mistake]:
    cluster = stack.cluster
    if cluster.kind == "eks" and cluster.private_endpoint and not cluster.private_access_cidrs:
        yield (
            "cluster.private_access_cidrs",
            "is empty: only the nodes reach the private Kubernetes API endpoint; `make up`, `down` and "
            "`repair` need FROM=, and `make queues`, `drain`, `pause` do not work; list a network that is "
            "connected with the VPC",
        )


def _spot_ends_long_tasks(stack: Settings) -> Iterator[Mistake]:
    for name, queue in stack.all_queues.items():
        if queue.spot and queue.grace_seconds > limits.SPOT_NOTICE_SECONDS:
            yield (
                f"{key_of(name)}.spot",
                f"a spot node is reclaimed {limits.SPOT_NOTICE_SECONDS} seconds after AWS's notice, whatever "
                f"grace_seconds ({queue.grace_seconds}) allows: a longer task is killed, and restarts only "
                "if it has a retry left; use a queue with spot: false for long tasks",
            )


def _options_are_unlisted(stack: Settings) -> Iterator[Mistake]:
    airflow = stack.airflow
    for name in options.unlisted(airflow.config):
        yield (
            f"airflow.config.{name}",
            f"is not a known option of Airflow {airflow.version} or its providers: only code of your image "
            "can read it",
        )


def _logs_end_with_their_pod(stack: Settings) -> Iterator[Mistake]:
    in_pods = stack.cluster.kind == "existing" and stack.logs.bucket is None
    if in_pods and stack.policies.level == "production":
        yield (
            "logs.bucket",
            "is not set: task logs stay on the workers, and scale-in or an upgrade deletes them; set an S3 "
            "bucket, or one of a compatible service",
        )


def _role_is_built_in(stack: Settings) -> Iterator[Mistake]:
    sso = stack.airflow.sso
    for group, role in sso.roles.items() if sso is not None else ():
        if role not in BUILT_IN_ROLES:
            yield (
                f"airflow.sso.roles.{group}",
                f"{role} is not a built-in role ({', '.join(BUILT_IN_ROLES)}): until an administrator "
                "creates it, it grants nothing",
            )


def _git_ignores_the_proxy(stack: Settings) -> Iterator[Mistake]:
    for name, repository in stack.dags.all_repositories.items():
        if stack.proxy.is_set and not repository.repo.startswith(("https://", "git://")):
            yield (
                f"dags.repositories.{name}.repo" if name else "dags.repo",
                "is fetched over SSH, which does not use the section proxy: the pod dag-relay must reach "
                "the Git host directly; otherwise use its https:// URL",
            )


def _keda_is_untested(stack: Settings) -> Iterator[Mistake]:
    cluster = stack.cluster
    if cluster.kind == "existing" or not stack.installs_keda:
        return
    minor = KEDA_CHART.version.rpartition(".")[0]
    tested = KEDA_KUBERNETES.get(minor)
    if tested is None:
        what = f"settings/versions.py lists no Kubernetes versions for KEDA {minor}; add those of"
    elif cluster.version not in tested:
        what = f"KEDA {minor} was tested with {tested[0]} to {tested[-1]} only, see"
    else:
        return
    yield (
        "cluster.version",
        f"KEDA {KEDA_CHART.version} is installed on Kubernetes {cluster.version}: {what} "
        f"{KEDA_KUBERNETES_SOURCE}",
    )
