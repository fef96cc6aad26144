"""Chart values that settings decide. What nobody sets stands in values/."""

from typing import Any

import capacity
from components import dag_relay, load_balancer
from sections.airflow import (
    AirflowSettings,
    DagSettings,
    IngressSettings,
    WorkerSettings,
)

SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
}
# Slower than it grows: a worker that stops takes no tasks while it finishes its last ones.
SCALE_DOWN = {
    "stabilizationWindowSeconds": 120,
    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}],
}
BEHAVIOR = {"scaleUp": SCALE_UP, "scaleDown": SCALE_DOWN}
CPU_TARGET_PERCENT = 70
KEDA_POLL_SECONDS = 5
KEDA_COOLDOWN_SECONDS = 120
# How often a pod asks the relay, which is near and costs nothing; the Git host has dags.poll_seconds.
FOLLOW_PERIOD = "300ms"
REFRESH_SECONDS = 1


def scaling(workers: WorkerSettings) -> dict[str, Any]:
    """Values under `workers.celery` that decide the number of workers."""
    bounds = {"minReplicaCount": workers.min, "maxReplicaCount": workers.max}
    if workers.scaling == "queue":
        return {
            "hpa": {"enabled": False},
            "keda": {
                "enabled": True,
                **bounds,
                "pollingInterval": KEDA_POLL_SECONDS,
                "cooldownPeriod": KEDA_COOLDOWN_SECONDS,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
            },
            # KEDA finds its connection in the environment of the worker, under this name.
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


def worker_values(workers: WorkerSettings) -> dict[str, Any]:
    """Values under `workers.celery`."""
    memory = f"{workers.memory_mb}Mi"
    return {
        **scaling(workers),
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


def airflow_config(airflow: AirflowSettings, workers: WorkerSettings) -> dict[str, dict[str, Any]]:
    """Values under `config`: options of airflow.cfg. Those of `airflow.config` come on top."""
    derived: dict[str, dict[str, Any]] = {
        "api": {"base_url": airflow.url},
        "celery": {"worker_concurrency": workers.concurrency},
        "database": {
            "sql_alchemy_pool_size": capacity.POOL_SIZE,
            "sql_alchemy_max_overflow": capacity.MAX_OVERFLOW,
        },
    }
    for section, options in airflow.config.items():
        derived[section] = {**derived.get(section, {}), **options}
    return derived


def scheduler_env(airflow: AirflowSettings, workers: WorkerSettings) -> list[dict[str, Any]]:
    """Values under `scheduler.env`.

    Only schedulers read it: in airflow.cfg, each change of `workers.max` would restart every pod.
    """
    slots = capacity.parallelism(workers, airflow)
    return [{"name": "AIRFLOW__CORE__PARALLELISM", "value": str(slots)}]


def ingress(settings: IngressSettings) -> dict[str, Any]:
    """Values under `ingress.apiServer`."""
    return {
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
