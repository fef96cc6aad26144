"""What must hold between sections of the settings. Each check is named after the sections that it reads."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from settings import limits, sizing
from settings.versions import AIRFLOW_CHART, KEDA_CHART
from settings.workers import WorkerSettings, all_queues, key_of, need_keda

# (full key, what is wrong and what to do)
Mistake = tuple[str, str]


def _cluster_has_its_network(cluster: Any, network: Any) -> Iterator[Mistake]:
    if cluster.kind == "eks" and network is None:
        yield "network", "is required for cluster.kind: eks; write `network: {}` for the defaults"
    if cluster.kind == "existing" and network is not None:
        yield "network", "belongs to cluster.kind: eks; an existing cluster brings its own"


def _database_fits_the_cluster(cluster: Any, database: Any) -> Iterator[Mistake]:
    if cluster.kind == "eks" and database.kind == "container":
        yield "database.kind", "container has no backups and is for cluster.kind: existing; use rds"
    if cluster.kind == "existing" and database.kind == "rds":
        yield "database.kind", "rds needs the network of cluster.kind: eks; use container"


def _nat_fits_the_zones(network: Any, database: Any) -> Iterator[Mistake]:
    if (
        network
        and network.nat == "single"
        and getattr(database, "protect", False)
        and network.az_count > 2
    ):
        yield (
            "network.nat",
            "single leaves every zone without Git and images when one zone fails; "
            "a protected database in three zones wants per_az",
        )


def _aws_settings_need_aws(
    cluster: Any, workers: Any, queues: Any, airflow: Any, logs: Any
) -> Iterator[Mistake]:
    if cluster.kind == "eks":
        return
    for name, queue in all_queues(workers, queues).items():
        if queue.spot:
            yield f"{key_of(name)}.spot", "needs cluster.kind: eks"
        if "architecture" in queue.model_fields_set:
            yield (
                f"{key_of(name)}.architecture",
                "needs cluster.kind: eks; an existing cluster has the nodes that it has",
            )
        if queue.iam_policy_arn:
            yield f"{key_of(name)}.iam_policy_arn", "needs cluster.kind: eks"
    if airflow.ingress:
        yield "airflow.ingress", "needs cluster.kind: eks, whose load balancer it configures"
    if logs.protect:
        yield "logs.protect", "needs cluster.kind: eks; without it task logs stay on the pods"


def _plain_git_stays_in_the_cluster(dags: Any, git_server: Any) -> Iterator[Mistake]:
    if dags.repo.startswith("git://") and git_server is None:
        yield (
            "dags.repo",
            f"git:// is neither encrypted nor verified; use https:// or ssh://, got {dags.repo!r}",
        )


def _the_git_server_starts_with_a_branch(dags: Any) -> Iterator[Mistake]:
    for key in ("tag", "commit"):
        if dags.repo.startswith("git://") and getattr(dags, key):
            fix = "the Git server of the stack starts with a branch only; use dags.branch"
            yield f"dags.{key}", fix


def _the_git_host_can_call(cluster: Any, dags: Any, airflow: Any) -> Iterator[Mistake]:
    # Before an existing cluster there may be an ingress that this program does not know.
    if cluster.kind == "eks" and dags.webhook and airflow.ingress is None:
        yield "dags.webhook", "needs airflow.ingress: nobody could call it without a load balancer"


def _the_image_runs_on_the_nodes(
    cluster: Any, workers: Any, queues: Any, airflow: Any
) -> Iterator[Mistake]:
    if cluster.kind != "eks":
        return
    built = airflow.image_architectures
    # https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
    if "amd64" not in built:
        yield (
            "airflow.architectures",
            f"lacks amd64, got {list(built)}: all pods but the workers run on EKS's general-purpose nodes, "
            "which are amd64; build the image for it, too",
        )
    for name, queue in all_queues(workers, queues).items():
        if queue.architecture not in built:
            yield (
                f"{key_of(name)}.architecture",
                f"{queue.architecture} is not among the architectures of the image {airflow.image}: "
                f"{', '.join(built)}; take one of those, or list it in airflow.architectures if it is there",
            )


def _slots_can_be_used(workers: Any, queues: Any, airflow: Any) -> Iterator[Mistake]:
    every = all_queues(workers, queues).values()
    slots = sizing.task_slots(every)
    limit = sizing.schedulable_tasks(every, airflow)
    if slots > limit:
        yield (
            "airflow.parallelism",
            f"{airflow.parallelism} for {airflow.replicas.scheduler} scheduler(s) lets {limit} tasks run, "
            f"but max x concurrency of all queues is {slots}; raise it, or leave it out",
        )


def _connections_fit_the_database(
    workers: Any, queues: Any, airflow: Any, database: Any
) -> Iterator[Mistake]:
    every = all_queues(workers, queues)
    needed = sizing.database_connections(every.values(), airflow)
    if needed > database.max_connections:
        yield (
            "database",
            f"has room for {database.max_connections} connections, but Airflow with all its workers opens up "
            f"to {needed}; take a larger instance_class, or lower {_maxima(every)}",
        )


def _maxima(queues: Iterable[str]) -> str:
    return " or ".join(f"{key_of(name)}.max" for name in queues)


def _an_existing_keda_is_in_an_existing_cluster(cluster: Any, keda: Any) -> Iterator[Mistake]:
    if cluster.kind == "eks" and keda.existing:
        yield (
            "keda.existing",
            "needs cluster.kind: existing; this stack makes its cluster, and there is no KEDA_CHART in it",
        )


def _a_worker_fits_a_node(cluster: Any, workers: Any, queues: Any) -> Iterator[Mistake]:
    if cluster.kind != "eks":
        return
    for name, queue in all_queues(workers, queues).items():
        cpu, memory_mb = sizing.worker_requests(queue)
        if cpu > limits.POD_CPU:
            yield (
                f"{key_of(name)}.cpu",
                f"{queue.cpu:g} and its sidecars are {cpu:g} CPU, and the largest node has "
                f"{limits.POD_CPU:g} for pods: no worker would ever start; lower it",
            )
        if memory_mb > limits.POD_MB:
            yield (
                f"{key_of(name)}.memory_mb",
                f"{queue.memory_mb} and its sidecars are {memory_mb} MiB, and the largest node has "
                f"{limits.POD_MB} for pods: no worker would ever start; lower it",
            )


def _charts_are_in_their_directory(
    charts: Any, workers: Any, queues: Any, keda: Any
) -> Iterator[Mistake]:
    if charts.source is None or "://" in charts.source:
        return
    own_keda = need_keda(all_queues(workers, queues).values()) and not keda.existing
    needed = [AIRFLOW_CHART, KEDA_CHART] if own_keda else [AIRFLOW_CHART]
    missing = [
        chart.archive for chart in needed if not Path(charts.source, chart.archive).is_file()
    ]
    if missing:
        yield (
            "charts.source",
            f"{charts.source} has no {' and no '.join(missing)}; `helm pull` makes them",
        )


CHECKS = (
    _cluster_has_its_network,
    _database_fits_the_cluster,
    _nat_fits_the_zones,
    _aws_settings_need_aws,
    _plain_git_stays_in_the_cluster,
    _the_git_server_starts_with_a_branch,
    _the_git_host_can_call,
    _the_image_runs_on_the_nodes,
    _slots_can_be_used,
    _connections_fit_the_database,
    _an_existing_keda_is_in_an_existing_cluster,
    _a_worker_fits_a_node,
    _charts_are_in_their_directory,
)


def mistakes(sections: Mapping[str, Any]) -> Iterator[Mistake]:
    """Run every check whose sections are all there: one broken section hides nothing else."""
    for check in CHECKS:
        needs = inspect.signature(check).parameters
        if needs.keys() <= sections.keys():
            yield from check(**{name: sections[name] for name in needs})


def warnings(queues: Mapping[str, WorkerSettings]) -> Iterator[Mistake]:
    """What a stack may do, and should know the price of."""
    for name, queue in queues.items():
        if queue.spot and queue.grace_seconds > limits.SPOT_NOTICE_SECONDS:
            yield (
                f"{key_of(name)}.spot",
                f"a spot node goes {limits.SPOT_NOTICE_SECONDS} seconds after AWS says so, whatever "
                f"grace_seconds ({queue.grace_seconds}) promises: a task that needs longer is cut off, and "
                "starts anew if it has a retry left; long tasks belong on a queue with spot: false",
            )
