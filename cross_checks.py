"""What must hold between sections of the settings. Each check is named after the sections that it reads."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import capacity
from components.charts import AIRFLOW, KEDA

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
    cluster: Any, workers: Any, airflow: Any, logs: Any
) -> Iterator[Mistake]:
    if cluster.kind == "eks":
        return
    if workers.spot:
        yield "workers.spot", "needs cluster.kind: eks"
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


def _the_git_server_starts_with_a_branch(dags: Any, git_server: Any) -> Iterator[Mistake]:
    for key in ("tag", "commit"):
        if git_server is not None and getattr(dags, key):
            fix = "the Git server of the stack starts with a branch only; use dags.branch"
            yield f"dags.{key}", fix


def _slots_can_be_used(workers: Any, airflow: Any) -> Iterator[Mistake]:
    slots = capacity.task_slots(workers)
    limit = capacity.schedulable_tasks(workers, airflow)
    if slots > limit:
        yield (
            "airflow.parallelism",
            f"{airflow.parallelism} for {airflow.replicas.scheduler} scheduler(s) lets {limit} tasks run, "
            f"but workers.max x concurrency is {slots}; raise it, or leave it out",
        )


def _connections_fit_the_database(workers: Any, airflow: Any, database: Any) -> Iterator[Mistake]:
    needed = capacity.database_connections(workers, airflow)
    if needed > database.max_connections:
        yield (
            "database",
            f"has room for {database.max_connections} connections, but Airflow at workers.max opens up to "
            f"{needed}; take a larger instance_class, or lower workers.max",
        )


def _charts_are_in_their_directory(charts: Any, workers: Any) -> Iterator[Mistake]:
    if charts.source is None or "://" in charts.source:
        return
    needed = [AIRFLOW, KEDA] if workers.scaling == "queue" else [AIRFLOW]
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
    _slots_can_be_used,
    _connections_fit_the_database,
    _charts_are_in_their_directory,
)


def mistakes(sections: Mapping[str, Any]) -> Iterator[Mistake]:
    """Run every check whose sections are all there: one broken section hides nothing else."""
    for check in CHECKS:
        needs = inspect.signature(check).parameters
        if needs.keys() <= sections.keys():
            yield from check(**{name: sections[name] for name in needs})
