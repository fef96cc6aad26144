"""Reads the facts of the architecture picture from what a stack on AWS declares."""

import re
from typing import Any
from urllib.parse import urlsplit

from components import airflow_values
from docs.picture.facts import Database, Facts, Git, Keda, LoadBalancer, Logs, Redis, Workers, Zone
from plan import engine, values
from plan.engine import Declaration
from plan.values import RELEASE, at
from sections.airflow import DagSettings
from settings import Settings

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
COMPONENTS = ("apiServer", "scheduler", "dagProcessor", "triggerer")


def facts(stack: str) -> Facts:
    """The facts of a committed stack on AWS."""
    config = {key: text for key, text, _ in engine.read_stack(stack)}
    declared, settings = engine.run_stack(stack)
    if declared.all("airflow:k8s:GitServer"):
        raise ValueError(f"{stack}: the picture has no place for a Git server in the cluster")
    chart = values.of_airflow(declared)
    release = declared.one(RELEASE, "airflow-release").inputs
    cluster = declared.one("eks:index:Cluster").inputs
    return Facts(
        stack=stack,
        region=config["aws:region"],
        vpc=declared.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"],
        zones=_zones(declared),
        kubernetes=cluster["version"],
        endpoint_cidrs=tuple(cluster["publicAccessCidrs"])
        if cluster["endpointPublicAccess"]
        else None,
        namespace=release["namespace"],
        airflow=chart["airflowVersion"],
        url=chart["config"]["api"]["base_url"],
        replicas={name: chart[name]["replicas"] for name in COMPONENTS},
        workers=_workers(declared, chart, settings),
        git=_git(settings.dags),
        redis=_redis(declared),
        database=_database(declared),
        logs=_logs(declared),
        keda=_keda(declared),
        load_balancer=_load_balancer(declared, chart),
    )


def _zones(declared: Declaration) -> tuple[Zone, ...]:
    blocks = {
        subnet.name: subnet.inputs["cidrBlock"] for subnet in declared.all("aws:ec2/subnet:Subnet")
    }
    with_nat = {nat.inputs["subnetId"] for nat in declared.all("aws:ec2/natGateway:NatGateway")}
    return tuple(
        Zone(
            public=blocks[public],
            private=blocks[public.replace("-public-", "-private-")],
            nat=f"{public}-id" in with_nat,
        )
        for public in sorted(blocks)
        if "-public-" in public
    )


def _workers(declared: Declaration, chart: dict[str, Any], settings: Settings) -> Workers:
    celery = chart["workers"]["celery"]["sets"][0]
    pool = declared.one("kubernetes:karpenter.sh/v1:NodePool", "worker-nodes-pool").inputs
    needs = {need["key"]: need["values"] for need in at(pool, "spec.template.spec.requirements")}
    requests = celery["resources"]["requests"]
    each: dict[str, Any] = {
        "others": tuple(settings.queues),
        "tasks": chart["config"]["celery"]["worker_concurrency"],
        "cpu": int(requests["cpu"].removesuffix("m")) / 1000,
        "memory": int(requests["memory"].removesuffix("Mi")) / 1024,
        "capacity": tuple(needs["karpenter.sh/capacity-type"]),
    }
    if celery["keda"]["enabled"]:
        scaler, scaling = celery["keda"], "queue"
    elif celery["hpa"]["enabled"]:
        scaler, scaling = celery["hpa"], "cpu"
    else:
        count = celery["replicas"]
        return Workers(min=count, max=count, scaling="fixed", **each)
    low, high = scaler["minReplicaCount"], scaler["maxReplicaCount"]
    return Workers(min=low, max=high, scaling=scaling, **each)


def _git(dags: DagSettings) -> Git:
    # git@host:path is another way to write ssh://git@host/path
    url = urlsplit(re.sub(r"^(git@[^:/]+):", r"ssh://\1/", dags.repo))
    kind = "commit" if dags.commit else "tag" if dags.tag else "branch"
    return Git(
        host=url.hostname or "",
        path=url.path.strip("/").removesuffix(".git"),
        ref=f"{kind} {dags.ref}",
        folder=dags.sub_path,
        seconds=dags.poll_seconds,
    )


def _redis(declared: Declaration) -> Redis:
    claim = declared.one(CLAIM, "redis-data")
    server = declared.one("kubernetes:apps/v1:StatefulSet", "redis-server").inputs
    image = server["spec"]["template"]["spec"]["containers"][0]["image"]
    return Redis(
        version=image.rpartition(":")[2].partition("-")[0],
        volume=claim.inputs["spec"]["resources"]["requests"]["storage"],
    )


def _database(declared: Declaration) -> Database:
    instance = declared.one("aws:rds/instance:Instance")
    group = declared.one("aws:rds/parameterGroup:ParameterGroup").inputs
    parameters = {p["name"]: p["value"] for p in group["parameters"]}
    return Database(
        version=instance.inputs["engineVersion"],
        instance_class=instance.inputs["instanceClass"],
        storage=instance.inputs["allocatedStorage"],
        max_storage=instance.inputs["maxAllocatedStorage"],
        backup_days=instance.inputs["backupRetentionPeriod"],
        multi_az=instance.inputs["multiAz"],
        tls_only=parameters.get("rds.force_ssl") == "1",
    )


def _logs(declared: Declaration) -> Logs:
    retention = declared.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    (rule,) = retention.inputs["rules"]
    return Logs(days=rule["expiration"]["days"])


def _keda(declared: Declaration) -> Keda | None:
    if not any(release.name == "keda-release" for release in declared.all(RELEASE)):
        return None
    return Keda(seconds=airflow_values.KEDA_POLL_SECONDS)


def _load_balancer(declared: Declaration, chart: dict[str, Any]) -> LoadBalancer | None:
    found = declared.all("kubernetes:eks.amazonaws.com/v1:IngressClassParams")
    if not found:
        return None
    (parameters,) = found
    ingress = chart["ingress"]["apiServer"]
    (host,) = ingress["hosts"]
    return LoadBalancer(
        host=host["name"],
        internal=parameters.inputs["spec"]["scheme"] == "internal",
        cidrs=tuple(ingress["annotations"]["alb.ingress.kubernetes.io/inbound-cidrs"].split(",")),
    )
