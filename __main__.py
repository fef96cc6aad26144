"""Wiring: a platform (AWS or an existing cluster), Redis, the DAG relay, KEDA, and Airflow."""

import signal

import pulumi

import settings
from components import platforms
from components.airflow.dag_relay import DagRelay, DagRelayArgs
from components.airflow.release import Airflow, AirflowArgs
from components.kubernetes import load_balancer
from components.kubernetes.git_server import GitServer, GitServerArgs
from components.kubernetes.keda import Keda, KedaArgs
from components.kubernetes.redis import Redis, RedisArgs

# Pulumi stops this program with SIGINT: a traceback would hide the error that caused the stop.
signal.signal(signal.SIGINT, signal.SIG_DFL)

stack = settings.load()
secrets = settings.load_secrets(stack.dags, stack.airflow.sso)

platform = platforms.declare(stack, secrets)
in_cluster = pulumi.ResourceOptions(provider=platform.provider)

redis = Redis(
    "redis",
    RedisArgs(
        namespace=platform.namespace,
        password=secrets.redis_password,
        password_rotation=stack.rotation.redis,
        settings=stack.redis,
    ),
    opts=in_cluster,
)

# Created before Airflow, and deleted after it.
parts = [*platform.parts, redis]
if stack.git_server is not None:
    git_server_args = GitServerArgs(
        namespace=platform.namespace,
        image=stack.airflow.image_reference,
        branch=stack.dags.ref,
        settings=stack.git_server,
    )
    parts.append(GitServer("git-server", git_server_args, opts=in_cluster))
relay_args = DagRelayArgs(
    namespace=platform.namespace,
    image=stack.airflow.image_reference,
    dags=stack.dags,
    secrets=secrets,
    webhook_rotation=stack.rotation.webhook,
    load_balancer_cidrs=platform.load_balancer_cidrs,
)
parts.append(DagRelay("dag-relay", relay_args, opts=in_cluster))
if stack.installs_keda:
    keda_args = KedaArgs(database_ca=platform.database_ca, charts=stack.charts)
    # The chart also creates objects in the namespace of Airflow.
    keda_opts = pulumi.ResourceOptions(provider=platform.provider, depends_on=platform.parts)
    parts.append(Keda("keda", keda_args, opts=keda_opts))

airflow = Airflow(
    "airflow",
    AirflowArgs(
        namespace=platform.namespace,
        value_files=["airflow.yaml", platform.values],
        database_host=platform.database_host,
        database_password=platform.database_password,
        database_ca=platform.database_ca,
        redis_host=redis.host,
        redis_password=redis.password,
        log_bucket=platform.log_bucket,
        log_region=platform.log_region,
        load_balancer_cidrs=platform.load_balancer_cidrs,
        airflow=stack.airflow,
        queues=stack.all_queues,
        own_nodes=platform.own_nodes,
        dags=stack.dags,
        charts=stack.charts,
        rotation=stack.rotation,
        secrets=secrets,
    ),
    opts=pulumi.ResourceOptions(provider=platform.provider, depends_on=parts),
)

pulumi.export("airflowUrl", airflow.url)
if stack.airflow.ingress is not None and platform.cluster_name is not None:
    address = load_balancer.host_name(platform.cluster_name, airflow.released)
    pulumi.export("loadBalancer", address)
pulumi.export("dagsRepository", stack.dags.repo)
pulumi.export("kubeconfig", platform.kubeconfig)
