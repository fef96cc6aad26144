"""Wiring: a platform (AWS or an existing cluster), Redis, the DAG relay, KEDA, and Airflow."""

import signal

import pulumi

import settings
from components import platforms
from components.airflow.dag_relay import DagRelay, DagRelayArgs
from components.airflow.release import Airflow, AirflowArgs
from components.airflow.values import service_account
from components.kubernetes import load_balancer
from components.kubernetes.git_server import GitServer, GitServerArgs
from components.kubernetes.keda import Keda, KedaArgs
from components.kubernetes.redis import Redis, RedisArgs
from components.kubernetes.task_pods import TaskPods, TaskPodsArgs
from components.support import cluster_rules

# Pulumi stops this program with SIGINT: a traceback would hide the error that caused the stop.
signal.signal(signal.SIGINT, signal.SIG_DFL)

stack = settings.load()
secrets = settings.load_secrets(stack)
cluster_rules.apply_to_objects(stack.kubernetes)

platform = platforms.declare(stack, secrets)
in_cluster = pulumi.ResourceOptions(provider=platform.provider)
proxy = stack.proxy.variables(platform.no_proxy)

redis = Redis(
    "redis",
    RedisArgs(
        namespace=platform.namespace,
        pull_secret=platform.pull_secret,
        storage_class=stack.storage_class,
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
        pull_secret=platform.pull_secret,
        storage_class=stack.storage_class,
        image=stack.airflow.image_reference,
        branch=stack.dags.ref,
        settings=stack.git_server,
    )
    parts.append(GitServer("git-server", git_server_args, opts=in_cluster))
relay_args = DagRelayArgs(
    namespace=platform.namespace,
    pull_secret=platform.pull_secret,
    storage_class=stack.storage_class,
    image=stack.airflow.image_reference,
    dags=stack.dags,
    secrets=secrets,
    logins=settings.load_logins(stack.dags),
    webhook_rotation=stack.rotation.webhook,
    load_balancer_cidrs=platform.load_balancer_cidrs,
    proxy=proxy,
)
parts.append(DagRelay("dag-relay", relay_args, opts=in_cluster))
if stack.installs_keda:
    keda_args = KedaArgs(
        watched_namespace="" if stack.keda.all_namespaces else stack.cluster.namespace,
        database_ca=platform.database.ca,
        charts=stack.charts,
        kubernetes=stack.kubernetes,
        registry=stack.images.registry,
        pull_secret=stack.images.pull_secret,
        pull_credentials=secrets.image_pull_credentials,
    )
    # The chart also creates objects in the namespace of Airflow.
    keda_opts = pulumi.ResourceOptions(provider=platform.provider, depends_on=platform.parts)
    parts.append(Keda("keda", keda_args, opts=keda_opts))

if stack.pod_queues:
    pod_args = TaskPodsArgs(
        namespace=stack.task_namespace,
        airflow_namespace=platform.namespace,
        service_accounts=[service_account(queue) for queue in stack.pod_queues],
        settings=stack.task_pods,
        cpu_limits=stack.kubernetes.cpu_limits,
        pull_secret=stack.images.pull_secret,
        pull_credentials=secrets.image_pull_credentials,
    )
    parts.append(TaskPods("task-pods", pod_args, opts=in_cluster))

airflow = Airflow(
    "airflow",
    AirflowArgs(
        namespace=platform.namespace,
        pull_secret=platform.pull_secret,
        value_files=platform.value_files,
        database=platform.database,
        redis_host=redis.host,
        redis_password=redis.password,
        log_bucket=platform.log_bucket,
        log_region=platform.log_region,
        logs=stack.logs,
        load_balancer_cidrs=platform.load_balancer_cidrs,
        airflow=stack.airflow,
        queues=stack.all_queues,
        task_namespace=stack.task_namespace,
        own_nodes=platform.own_nodes,
        dags=stack.dags,
        charts=stack.charts,
        kubernetes=stack.kubernetes,
        proxy=proxy,
        registry=stack.images.registry,
        rotation=stack.rotation,
        secrets=secrets,
    ),
    opts=pulumi.ResourceOptions(provider=platform.provider, depends_on=parts),
)
platforms.declare_recovery_region(stack, platform, airflow.fernet_keys)

pulumi.export("airflowUrl", airflow.url)
if stack.airflow.ingress is not None and platform.cluster_name is not None:
    address = load_balancer.host_name(
        platform.cluster_name, stack.cluster.namespace, airflow.released
    )
    pulumi.export("loadBalancer", address)
pulumi.export("dagsRepository", stack.dags.repo)
pulumi.export("kubeconfig", platform.kubeconfig)
