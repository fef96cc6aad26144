"""Chart values that settings decide. What nobody sets stands in values/."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from components.airflow import dag_relay
from components.kubernetes import load_balancer, worker_nodes
from settings import limits, sizing
from settings.airflow import AirflowSettings, IngressSettings
from settings.dags import DagSettings
from settings.workers import DEFAULT_QUEUE, WorkerSettings

SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
}
# Slower than it grows: a worker that stops takes no tasks while it finishes its last ones. By halves:
# 20 workers without work are one in the window and 75 s, which is less than three minutes.
SCALE_DOWN = {
    "stabilizationWindowSeconds": 90,
    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}],
}
BEHAVIOR = {"scaleUp": SCALE_UP, "scaleDown": SCALE_DOWN}
CPU_TARGET_PERCENT = 70
KEDA_POLL_SECONDS = 5
KEDA_COOLDOWN_SECONDS = 120
# How often a pod asks the relay, which is near and costs nothing; the Git host has dags.poll_seconds.
FOLLOW_PERIOD = "500ms"
REFRESH_SECONDS = 0  # each time that the DAG processor looks, which is every second
# Where git-sync has the repository. The scheduler and the API server have none, and load nothing from it.
PLUGINS_FOLDER = "/opt/airflow/dags/repo/plugins"


# Name of the worker set of `default`. The chart takes `default` for its own workers, whose selectors match
# the workers of every other set, too: two autoscalers or two budgets for one pod.
ALONE, BESIDE_OTHERS = "default", "default-queue"

CONCURRENCY = "AIRFLOW__CELERY__WORKER_CONCURRENCY"

# Karpenter must not move a worker that has tasks.
STAYS = {"karpenter.sh/do-not-disrupt": "true"}


def scaling(queue: str, workers: WorkerSettings) -> dict[str, Any]:
    """Values of the worker set of a queue that decide the number of workers."""
    bounds = {"minReplicaCount": workers.min, "maxReplicaCount": workers.max}
    if workers.scaling == "queue":
        return {
            "hpa": {"enabled": False},
            "keda": {
                "enabled": True,
                **bounds,
                "pollingInterval": KEDA_POLL_SECONDS,
                "cooldownPeriod": KEDA_COOLDOWN_SECONDS,
                "query": _workers_needed(queue, workers.concurrency),
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
            },
            # KEDA looks here which Secret has its connection. The chart has no other place for it.
            "env": [
                {
                    "name": "AIRFLOW_CONN_AIRFLOW_DB",
                    "valueFrom": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
                }
            ],
        }
    if workers.scaling == "cpu":
        # Of the worker container only: sidecars would dilute it.
        metric = {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": "worker",
                "target": {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT},
            },
        }
        return {
            "keda": {"enabled": False},
            "hpa": {"enabled": True, **bounds, "metrics": [metric], "behavior": BEHAVIOR},
        }
    return {"hpa": {"enabled": False}, "keda": {"enabled": False}, "replicas": workers.max}


def _workers_needed(queue: str, concurrency: int) -> str:
    """KEDA's query: workers that the tasks of a queue need, and a tenth more while one of them waits.

    Kubernetes adds none while those that are needed are within 10 % of those that there are:
    docs/adr/0017-keda-counts-a-tenth-more.md.
    """
    return (
        f"SELECT ceil(COUNT(*) / {concurrency}.0) "  # noqa: S608
        "+ CASE WHEN COUNT(*) FILTER (WHERE state='queued') > 0 "
        f"THEN COUNT(*) / {10 * concurrency} ELSE 0 END "
        "FROM task_instance "
        f"WHERE (state='running' OR state='queued') AND queue = '{queue}'"
    )


def service_account(queue: str) -> str:
    """Of the workers of a queue. That of `default` stays when other queues come: its rights hang on it."""
    return "airflow-worker" if queue == DEFAULT_QUEUE else f"airflow-worker-{queue}"


def _worker_set(queue: str, queues: Collection[str]) -> str:
    """Name of the worker set of a queue, one of `queues`."""
    if queue != DEFAULT_QUEUE:
        return queue
    return ALONE if len(queues) == 1 else BESIDE_OTHERS


def deployment(queue: str, queues: Collection[str]) -> str:
    """Name of the workers of a queue in Kubernetes, and of what scales them."""
    worker_set = _worker_set(queue, queues)
    return "airflow-worker" if worker_set == ALONE else f"airflow-worker-{worker_set}"


def worker_sets(
    queues: Mapping[str, WorkerSettings],
    *,
    annotations: Mapping[str, Any] | None = None,
    own_nodes: bool = False,
) -> list[dict[str, Any]]:
    """Values under `workers.celery.sets`: the workers of each queue. `annotations` are for all their pods."""
    sets: list[dict[str, Any]] = []
    for queue, workers in queues.items():
        name = _worker_set(queue, queues)
        values = {
            "name": name,
            "queue": queue,
            "serviceAccount": {"name": service_account(queue)},
            # Of a set they replace those that all sets share.
            "podAnnotations": {
                **(annotations or {}),
                **(STAYS if own_nodes else {}),
            },
            **worker_values(queue, workers),
            **(_nodes(queue, name) if own_nodes else {}),
        }
        if queue != DEFAULT_QUEUE:  # airflow.cfg has that of `default`
            concurrency = {"name": CONCURRENCY, "value": str(workers.concurrency)}
            values["env"] = [*values.get("env", []), concurrency]
        sets.append(values)
    return sets


def _nodes(queue: str, worker_set: str) -> dict[str, Any]:
    """Values of a worker set: on nodes of its queue, in every zone."""
    labels = {"release": "airflow", "component": "worker"}
    return {
        "nodeSelector": {worker_nodes.LABEL: worker_nodes.mark(queue)},
        "tolerations": [worker_nodes.taint(queue)],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {
                    "matchLabels": labels
                    if worker_set == ALONE
                    else {**labels, "worker-set": worker_set}
                },
            }
        ],
    }


def worker_values(queue: str, workers: WorkerSettings) -> dict[str, Any]:
    """Values of the worker set of a queue that do not depend on where it is."""
    memory = f"{workers.memory_mb}Mi"
    return {
        **scaling(queue, workers),
        "terminationGracePeriodSeconds": workers.grace_seconds,
        "resources": {
            "requests": {"cpu": f"{round(workers.cpu * 1000)}m", "memory": memory},
            "limits": {"memory": memory},
        },
    }


def git_sync(dags: DagSettings) -> dict[str, Any]:
    """Values under `dags.gitSync`: each pod follows the relay, never the Git host."""
    if dags.mode != "git-sync":
        return {"enabled": False}
    return {
        "enabled": True,
        "repo": dag_relay.URL,
        # git-sync reads both: the older name, if it stayed at its default, would win.
        "branch": dag_relay.BRANCH,
        "ref": dag_relay.BRANCH,
        "subPath": dags.sub_path,
        "period": FOLLOW_PERIOD,
        # The checkout, the next one while it is made, and what Git keeps of both.
        "emptyDirConfig": {"sizeLimit": f"{4 * dags.max_mb}Mi"},
    }


def dag_bundles(dags: DagSettings) -> dict[str, Any]:
    """Values under `dagProcessor` that say where all pods find DAGs; {}: where git-sync puts them."""
    if dags.mode != "bundle":
        return {}
    bundle = {
        "name": "dags",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {
            "repo_url": dag_relay.URL,
            "tracking_ref": dag_relay.BRANCH,
            "subdir": dags.sub_path or None,
            "refresh_interval": REFRESH_SECONDS,
        },
    }
    return {"dagBundleConfigList": [bundle]}


def airflow_config(
    airflow: AirflowSettings, default_queue: WorkerSettings, dags: DagSettings
) -> dict[str, dict[str, Any]]:
    """Values under `config`: options of airflow.cfg. Those of `airflow.config` come on top."""
    derived: dict[str, dict[str, Any]] = {
        "api": {"base_url": airflow.url},
        "celery": {"worker_concurrency": default_queue.concurrency},
        "database": {
            "sql_alchemy_pool_size": limits.POOL_SIZE,
            "sql_alchemy_max_overflow": limits.MAX_OVERFLOW,
        },
    }
    if dags.mode == "git-sync":
        derived["core"] = {"plugins_folder": PLUGINS_FOLDER}
    for section, options in airflow.config.items():
        derived[section] = {**derived.get(section, {}), **options}
    return derived


def scheduler_env(
    airflow: AirflowSettings, queues: Collection[WorkerSettings]
) -> list[dict[str, Any]]:
    """Values under `scheduler.env`.

    Only schedulers read it: in airflow.cfg, each change of `workers.max` would restart every pod.
    """
    slots = sizing.parallelism(queues, airflow)
    return [{"name": "AIRFLOW__CORE__PARALLELISM", "value": str(slots)}]


def ingress(settings: IngressSettings, *, webhook: bool) -> dict[str, Any]:
    """Values under `ingress.apiServer`."""
    values: dict[str, Any] = {
        "enabled": True,
        "ingressClassName": load_balancer.CLASS,
        "path": "/",
        "pathType": "Prefix",
        "hosts": [{"name": settings.host}],
        "annotations": {
            "alb.ingress.kubernetes.io/target-type": "ip",
            "alb.ingress.kubernetes.io/listen-ports": '[{"HTTPS": 443}]',
            "alb.ingress.kubernetes.io/ssl-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "alb.ingress.kubernetes.io/healthcheck-path": "/api/v2/monitor/health",
            "alb.ingress.kubernetes.io/inbound-cidrs": ",".join(settings.allowed_cidrs),
        },
    }
    if webhook:
        # A path of the chart leads to its own Service, whatever it is; this port name tells the load
        # balancer to look under that name among its annotations instead.
        target = {"serviceName": dag_relay.WEBHOOK_NAME, "servicePort": dag_relay.WEBHOOK_PORT}
        values["annotations"]["alb.ingress.kubernetes.io/actions.airflow-api-server"] = json.dumps(
            {"type": "forward", "forwardConfig": {"targetGroups": [target]}}
        )
        values["precedingPaths"] = [
            {"path": dag_relay.WEBHOOK_PATH, "pathType": "Exact", "servicePort": "use-annotation"}
        ]
    return values
