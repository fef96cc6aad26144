"""Chart values that depend on settings or resources, one function per subtree.

Static values are in values/.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pulumi
from packaging.version import Version

from components.airflow import dag_relay, sso, xcom_bucket
from components.airflow.secrets import AirflowSecrets
from components.aws import nodes
from components.kubernetes import load_balancer
from components.kubernetes.namespace import PODS_OF_AIRFLOW
from components.support import chart_names
from components.support.hardened_pod import IN_POD
from components.support.named_secret import annotations
from settings import limits, sizing
from settings.airflow import AirflowSettings, IngressSettings
from settings.dags import DagSettings
from settings.images import Mirror, pinned
from settings.logs import LogSettings
from settings.versions import STATSD_IMAGE
from settings.workers import DEFAULT_QUEUE, WorkerSettings, key_of

SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
}
# Slower than scale-up: a stopping worker accepts no tasks while it finishes its last ones. By half
# each time: 20 idle workers become one after the window and 75 s, in less than three minutes.
SCALE_DOWN = {
    "stabilizationWindowSeconds": 90,
    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}],
}
BEHAVIOR = {"scaleUp": SCALE_UP, "scaleDown": SCALE_DOWN}
CPU_TARGET_PERCENT = 70
KEDA_POLL_SECONDS = 5
KEDA_COOLDOWN_SECONDS = 120
# How often a pod polls the relay, which is cheap. Polling of the Git host: dags.poll_seconds.
GIT_SYNC_PERIOD = "500ms"
# 0: at every check of the DAG processor, which is every second.
BUNDLE_REFRESH_SECONDS = 0
CHECKOUT = "/opt/airflow/dags/repo"  # of git-sync
# The scheduler and the API server have no checkout and load no plugins.
PLUGINS_FOLDER = f"{CHECKOUT}/plugins"
# The default of the chart with git-sync: the DAG folder of `dags.repo`.
CHART_BUNDLE = "dags-folder"
LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"

# Worker set of the queue `default`. The chart's selectors for the set `default` match the workers
# of every other set too, so that pods would have two autoscalers and two disruption budgets.
SINGLE_QUEUE_SET, DEFAULT_QUEUE_SET = "default", "default-queue"

TOKEN_KEYS = "/opt/airflow/token-keys"  # noqa: S105 - a folder
# Only for workers: in airflow.cfg, a step of the interval would restart every pod.
HEARTBEAT = "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"
DAG_PROCESSOR = ["python", "-c", (IN_POD / "dag_processor.py").read_text()]
WORKER = IN_POD / "worker.py"
# Replaces `airflow db clean` of the chart, which ends at the first row that another row refers to.
CLEAN_UP = [
    *("python", "-c", (IN_POD / "database_cleanup.py").read_text()),
    "{{ .Values.databaseCleanup.retentionDays }}",
]

# Connections for the bucket: of the program, and of the user.
AWS_CONNECTION = "aws_default"
LOG_CONNECTION = "remote_logs"
# Field of the connection, environment variable, and key of the Secret.
LOG_CREDENTIALS = (
    ("login", "REMOTE_LOGS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ("password", "REMOTE_LOGS_KEY", "AWS_SECRET_ACCESS_KEY"),
)

CONCURRENCY = "AIRFLOW__CELERY__WORKER_CONCURRENCY"

# Steps of the job that creates the first user.
MIGRATED = "airflow db check-migrations --migration-wait-timeout=600\n"
# Airflow reads the password twice from stdin; on the command line it would be visible to others.
CREATE_ADMIN = """\
answer() { printf '%s\\n' "$ADMIN_PASSWORD" "$ADMIN_PASSWORD"; }
said=$(answer | airflow users create --role Admin --username admin --firstname Airflow \\
    --lastname Admin --email admin@localhost 2>&1) || { echo "$said"; exit 1; }
case $said in *already?exist*) answer | airflow users reset-password --username admin ;; esac
"""
# By its e-mail address: a user of the OpenID Connect provider may have the name `admin`.
DELETE_ADMIN = """\
said=$(airflow users delete --email admin@localhost 2>&1) \\
  || case $said in *does?not?exist*) ;; *) echo "$said"; exit 1;; esac
"""
# Three keys: the previous one may still be in use, and the next rotation deletes it.
REENCRYPT = "case $AIRFLOW__CORE__FERNET_KEY in *,*,*) airflow rotate-fernet-key ;; esac\n"

# Exclude workers from Karpenter's consolidation.
DO_NOT_DISRUPT = {"karpenter.sh/do-not-disrupt": "true"}


def chart_values(
    *,
    airflow: AirflowSettings,
    task_namespace: str,
    queues: Mapping[str, WorkerSettings],
    own_nodes: bool,
    dags: DagSettings,
    secrets: AirflowSecrets,
    load_balancer_cidrs: Sequence[str],
    log_bucket: pulumi.Output[str] | None,
    log_region: pulumi.Output[str] | None,
    registry: str | None,
    pull_secret: pulumi.Input[str] | None,
    logs: LogSettings,
    proxy: Mapping[str, str],
) -> dict[str, Any]:
    """All values that this program adds to the files in values/."""
    checksums = annotations(*secrets.every_pod)
    signing_checksums = annotations(*secrets.every_pod, secrets.jwt)
    values: dict[str, Any] = {
        **image(airflow),
        "env": plain_variables({**airflow.env, **proxy}),
        "images": {"gitSync": git_sync_image(dags), **chart_images(registry)},
        **secret_names(secrets),
        "createUserJob": user_job(airflow, secrets),
        "dags": {"gitSync": git_sync(dags)},
        "workers": {
            "celery": {
                "enableDefault": False,
                "sets": worker_sets(
                    queues,
                    task_namespace=task_namespace,
                    heartbeat_seconds=sizing.heartbeat_seconds(queues.values(), airflow),
                    annotations=checksums,
                    own_nodes=own_nodes,
                ),
            }
        },
        "scheduler": {
            "replicas": airflow.replicas.scheduler,
            "podAnnotations": signing_checksums,
            "env": [*scheduler_env(airflow, queues.values()), *token_env(secrets)],
            **token_keys(secrets),
        },
        "dagProcessor": {
            "replicas": airflow.replicas.dag_processor,
            "args": DAG_PROCESSOR,
            "podAnnotations": checksums,
            **dag_bundles(dags),
        },
        "triggerer": {"replicas": airflow.replicas.triggerer, "podAnnotations": checksums},
        "apiServer": {
            "replicas": airflow.replicas.api_server,
            "podAnnotations": signing_checksums,
            "env": [*api_server_env(airflow, load_balancer_cidrs), *token_env(secrets)],
            **token_keys(secrets),
            **api_server_access(airflow, load_balancer_cidrs),
        },
        "databaseCleanup": {"args": CLEAN_UP},
        "config": airflow_config(airflow, queues[DEFAULT_QUEUE], dags),
    }
    if pull_secret is not None:
        values["imagePullSecrets"] = [{"name": pull_secret}]
    if airflow.sso is not None and secrets.sso is not None:
        api_server = values["apiServer"]
        signed_in = sso.api_server(airflow, airflow.sso, secrets.sso)
        for key in ("env", "extraVolumes", "extraVolumeMounts"):
            signed_in[key] = [*api_server.get(key, []), *signed_in.get(key, [])]
        changes = sso.checksums(airflow.sso, secrets.sso)
        signed_in["podAnnotations"] = {**signing_checksums, **changes}
        values["apiServer"] = {**api_server, **signed_in}
    if airflow.ingress is not None and load_balancer_cidrs:
        values["ingress"] = {"apiServer": ingress(airflow.ingress, webhook=dags.webhook)}
    if log_bucket is not None and log_region is not None:
        logging: Mapping[str, Any] = values["config"].get("logging", {})
        values["config"]["logging"] = {**remote_logging(log_bucket), **logging}
        values["env"] += log_connection(log_region)
        if airflow.xcom_bucket:
            values["config"] = xcom_bucket.with_options(
                values["config"], log_bucket, AWS_CONNECTION
            )
    if logs.bucket is not None:
        logging = values["config"].get("logging", {})
        values["config"]["logging"] = {**own_remote_logging(logs.bucket), **logging}
        values["extraEnv"] = extra_env(own_log_connection(logs))
        if airflow.xcom_bucket:
            values["config"] = xcom_bucket.with_options(
                values["config"], logs.bucket, LOG_CONNECTION
            )
    values["secret"] += [
        secret_variable(name, *reference.split("/"))
        for name, reference in airflow.secret_env.items()
    ]
    return values


def image(airflow: AirflowSettings) -> dict[str, Any]:
    values = {
        # The chart compares semantic versions: the tag of a pre-release, 3.4.0b2, is none.
        "airflowVersion": Version(airflow.version).base_version,
        "defaultAirflowRepository": airflow.image,
        "defaultAirflowTag": airflow.version,
    }
    if airflow.digest is not None:
        values["defaultAirflowDigest"] = airflow.digest
    return values


def git_sync_image(dags: DagSettings) -> dict[str, Any]:
    """Values under `images.gitSync`. The chart has no value for the digest: it follows the tag."""
    repository, _, tag = dags.git_sync_image.rpartition(":")
    return {"repository": repository, "tag": pinned(tag, dags.git_sync_digest)}


def chart_images(registry: str | None) -> dict[str, Any]:
    """Values under `images` for the copies of images that have no setting."""
    if registry is None:
        return {}
    repository, _, _ = Mirror(registry=registry).copy_of(STATSD_IMAGE).rpartition(":")
    return {"statsd": {"repository": repository}}


def secret_names(secrets: AirflowSecrets) -> dict[str, Any]:
    return {
        "data": {
            "metadataSecretName": secrets.metadata.name,
            "brokerUrlSecretName": secrets.broker.name,
        },
        "fernetKeySecretName": secrets.fernet.name,
        "apiSecretKeySecretName": secrets.api.name,
        "jwtSecretName": secrets.jwt.name,
        # asyncpg does not support `sslmode` and needs its own URL.
        "secret": [
            secret_variable(
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
                secrets.metadata.name,
                "connection-async",
            )
        ],
    }


def plain_variables(env: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries under `env`."""
    return [{"name": name, "value": as_text(value)} for name, value in env.items()]


def as_text(value: Any) -> str:
    """A scalar of the stack file as YAML spells it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def secret_variable(name: str, secret: str, key: str) -> dict[str, str]:
    """Entry under `secret`: an environment variable from a Secret."""
    return {"envName": name, "secretName": secret, "secretKey": key}


def user_job(airflow: AirflowSettings, secrets: AirflowSecrets) -> dict[str, Any]:
    """Values under `createUserJob`: create the local user `admin`, or delete it.

    Users of another auth manager than FAB's are not in the database.
    """
    values: dict[str, Any] = {"env": []}
    user = ""
    if airflow.creates_admin and secrets.admin is not None:
        user = CREATE_ADMIN
        reference = {"name": secrets.admin.name, "key": "password"}
        values["env"] = [{"name": "ADMIN_PASSWORD", "valueFrom": {"secretKeyRef": reference}}]
        values["jobAnnotations"] = annotations(secrets.admin)
    elif airflow.creates_admin:
        user = DELETE_ADMIN
    return {**values, "args": ["bash", "-euc", f"{MIGRATED}{user}{REENCRYPT}"]}


def api_server_access(
    airflow: AirflowSettings, load_balancer_cidrs: Sequence[str]
) -> dict[str, Any]:
    """Values under `apiServer`: peers that may connect to the API server."""
    peers: list[dict[str, Any]] = [{"podSelector": {"matchLabels": PODS_OF_AIRFLOW}}]
    if airflow.ingress is not None:
        peers += ({"ipBlock": {"cidr": cidr}} for cidr in load_balancer_cidrs)
    return {"networkPolicy": {"ingress": {"from": peers}}}


def api_server_env(
    airflow: AirflowSettings, load_balancer_cidrs: Sequence[str]
) -> list[dict[str, Any]]:
    """Trust `X-Forwarded-*` headers only from the load balancer."""
    if airflow.ingress is None or not load_balancer_cidrs:
        return []
    return [{"name": "FORWARDED_ALLOW_IPS", "value": ",".join(load_balancer_cidrs)}]


def token_env(secrets: AirflowSecrets) -> list[dict[str, Any]]:
    """Environment of the pods that sign and validate tokens: several keys are valid."""
    key_id = {"secretKeyRef": {"name": secrets.jwt.name, "key": "jwt-kid"}}
    return [
        {"name": "AIRFLOW__API_AUTH__JWT_KID", "valueFrom": key_id},
        {"name": "AIRFLOW__API_AUTH__TRUSTED_JWKS_URL", "value": f"{TOKEN_KEYS}/jwks.json"},
    ]


def token_keys(secrets: AirflowSecrets) -> dict[str, Any]:
    """Values of a component that mount the keys of valid tokens."""
    files = {"secretName": secrets.jwt.name, "items": [{"key": "jwks", "path": "jwks.json"}]}
    return {
        "extraVolumes": [{"name": "token-keys", "secret": files}],
        "extraVolumeMounts": [{"name": "token-keys", "mountPath": TOKEN_KEYS, "readOnly": True}],
    }


def remote_logging(bucket: pulumi.Output[str]) -> dict[str, Any]:
    """Values under `config.logging`. Options of the stack file override them."""
    return {"remote_base_log_folder": pulumi.Output.concat("s3://", bucket)}


def log_connection(region: pulumi.Output[str]) -> list[dict[str, Any]]:
    """Values under `env`: the connection for task logs.

    As an environment variable: with any other lookup, a worker would lose its first log lines.
    """
    connection = pulumi.Output.concat("aws://?region_name=", region)
    return [{"name": f"AIRFLOW_CONN_{AWS_CONNECTION.upper()}", "value": connection}]


def own_remote_logging(bucket: str) -> dict[str, Any]:
    """Values under `config.logging`: task logs in the user's bucket. values/aws.yaml has the others."""
    return {
        "remote_logging": "True",
        "remote_base_log_folder": f"s3://{bucket}",
        "remote_log_conn_id": LOG_CONNECTION,
        "encrypt_s3_logs": "False",  # S3 encrypts every object; other services may refuse the header
        "delete_local_logs": "True",
    }


def own_log_connection(logs: LogSettings) -> list[dict[str, Any]]:
    """Environment of Airflow's containers: the connection to the user's bucket.

    Not `aws_default`, which tasks use for AWS. Kubernetes inserts the credentials into the JSON text.
    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    extra: dict[str, Any] = {}
    if logs.region is not None:
        extra["region_name"] = logs.region
    if logs.endpoint_url is not None:
        extra["endpoint_url"] = logs.endpoint_url
        # Many S3-compatible services refuse the checksums that boto3 adds since 1.36:
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
        when_required = ("request_checksum_calculation", "response_checksum_validation")
        extra["config_kwargs"] = dict.fromkeys(when_required, "when_required")
    connection: dict[str, Any] = {"conn_type": "aws", "extra": extra}
    env: list[dict[str, Any]] = []
    if logs.credentials_secret is not None:
        for field, name, key in LOG_CREDENTIALS:
            reference = {"name": logs.credentials_secret, "key": key}
            env.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
            connection[field] = f"$({name})"
    value = json.dumps(connection)
    return [*env, {"name": f"AIRFLOW_CONN_{LOG_CONNECTION.upper()}", "value": value}]


def extra_env(variables: Sequence[Mapping[str, Any]]) -> str:
    """Value of `extraEnv`: YAML, and a template of Helm."""
    return "\n".join(f"- {json.dumps(variable)}" for variable in variables)


def scaling(queue: str, workers: WorkerSettings) -> dict[str, Any]:
    """Values of a queue's worker set that control the number of workers."""
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
            # KEDA reads the name of its Secret from here: the chart has no other value for it.
            "env": [
                {
                    "name": "AIRFLOW_CONN_AIRFLOW_DB",
                    "valueFrom": {
                        "secretKeyRef": {"name": chart_names.KEDA_SECRET, "key": "connection"}
                    },
                }
            ],
        }
    if workers.scaling == "cpu":
        # Of the worker container: sidecars would lower the average of the pod.
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
    """KEDA's query: workers for the tasks of a queue, plus 10 % headroom while tasks are queued.

    The HPA does not scale within 10 % of its target: docs/adr/0017-keda-counts-a-tenth-more.md.
    """
    return (
        f"SELECT ceil(COUNT(*) / {concurrency}.0) "  # noqa: S608
        "+ CASE WHEN COUNT(*) FILTER (WHERE state='queued') > 0 "
        f"THEN COUNT(*) / {10 * concurrency} ELSE 0 END "
        "FROM task_instance "
        f"WHERE (state='running' OR state='queued') AND queue = '{queue}'"
    )


def service_account(queue: str) -> str:
    """ServiceAccount of a queue's workers.

    Always the same for `default`: its Pod Identity association is bound to that name.
    """
    return chart_names.WORKER if queue == DEFAULT_QUEUE else f"{chart_names.WORKER}-{queue}"


def _worker_set(queue: str, queues: Collection[str]) -> str:
    """Name of a queue's worker set in a release with `queues`."""
    if queue != DEFAULT_QUEUE:
        return queue
    return SINGLE_QUEUE_SET if len(queues) == 1 else DEFAULT_QUEUE_SET


def deployment(queue: str, queues: Collection[str]) -> str:
    """Name of the Deployment of a queue's workers, and of its HPA or ScaledObject."""
    worker_set = _worker_set(queue, queues)
    if worker_set == SINGLE_QUEUE_SET:
        return chart_names.WORKER
    return f"{chart_names.WORKER}-{worker_set}"


def worker_sets(
    queues: Mapping[str, WorkerSettings],
    *,
    task_namespace: str = "",
    heartbeat_seconds: int = limits.MIN_HEARTBEAT_SECONDS,
    annotations: Mapping[str, Any] | None = None,
    own_nodes: bool = False,
) -> list[dict[str, Any]]:
    """Values under `workers.celery.sets`: one worker set per queue."""
    sets: list[dict[str, Any]] = []
    for queue, workers in queues.items():
        name = _worker_set(queue, queues)
        values: dict[str, Any] = {
            "name": name,
            "queue": queue,
            "serviceAccount": {
                "name": service_account(queue),
                # The token is the login of KubernetesPodOperator.
                "automountServiceAccountToken": workers.pod_operator,
            },
            # Annotations of a set replace those of `workers.celery`.
            "podAnnotations": {
                **(annotations or {}),
                **(DO_NOT_DISRUPT if own_nodes else {}),
            },
            **worker_values(queue, workers),
        }
        if own_nodes:
            values |= _nodes(queue, name)
            values["resources"] = _with_disk(values["resources"], workers.disk_gb)
        env: list[dict[str, Any]] = values.get("env", [])
        if workers.pod_operator:
            env = [*env, pod_connection(task_namespace)]
        if queue != DEFAULT_QUEUE:  # the concurrency of `default` is in airflow.cfg
            env = [*env, {"name": CONCURRENCY, "value": str(workers.concurrency)}]
        if heartbeat_seconds != limits.MIN_HEARTBEAT_SECONDS:
            env = [*env, {"name": HEARTBEAT, "value": str(heartbeat_seconds)}]
        env = [*env, *own_variables(workers)]
        if env:
            values["env"] = env
        values["args"] = worker_entrypoint(queue, workers)
        sets.append(values)
    return sets


def worker_entrypoint(queue: str, workers: WorkerSettings) -> list[str]:
    """Arguments of the container: the worker as in the chart, started by our entrypoint."""
    own_queue = [] if queue == DEFAULT_QUEUE else ["-q", queue]
    task_mb = {None: "0", 0: "off"}.get(workers.task_memory_mb, str(workers.task_memory_mb))
    command = ["airflow", "celery", "worker", *own_queue]
    program = WORKER.read_text()
    limits_mb = [str(workers.memory_mb), task_mb, str(workers.xcom_limit_mb)]
    return ["python", "-c", program, *limits_mb, key_of(queue), *command]


def pod_connection(namespace: str) -> dict[str, Any]:
    """Default connection of KubernetesPodOperator: this cluster, and the namespace of task pods."""
    extra = {"in_cluster": True, "namespace": namespace}
    connection = {"conn_type": "kubernetes", "extra": extra}
    return {"name": "AIRFLOW_CONN_KUBERNETES_DEFAULT", "value": json.dumps(connection)}


def own_variables(workers: WorkerSettings) -> list[dict[str, Any]]:
    """Entries under `env` of a worker set: the variables of its queue."""
    references = {name: text.split("/") for name, text in workers.secret_env.items()}
    return [
        *plain_variables(workers.env),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, (secret, key) in references.items()
        ),
    ]


def _nodes(queue: str, worker_set: str) -> dict[str, Any]:
    """Values of a worker set that place it on the nodes of its queue, spread over zones."""
    labels = {"release": "airflow", "component": "worker"}
    if worker_set != SINGLE_QUEUE_SET:
        labels["worker-set"] = worker_set
    return {
        "nodeSelector": {nodes.LABEL: nodes.node_label(queue)},
        "tolerations": [nodes.taint(queue)],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
    }


def _with_disk(resources: Any, disk_gb: int) -> dict[str, Any]:
    """The limit of the container also bounds the pod's emptyDirs, such as its copy of the DAGs.

    https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
    """
    disk = {"ephemeral-storage": f"{disk_gb}Gi"}
    return {kind: {**amounts, **disk} for kind, amounts in resources.items()}


def worker_values(queue: str, workers: WorkerSettings) -> dict[str, Any]:
    """Values of a worker set that depend only on the settings of its queue."""
    memory = f"{workers.memory_mb}Mi"
    # Kubernetes requires requests and limits of GPUs to be equal.
    gpus = {"nvidia.com/gpu": workers.gpu} if workers.gpu else {}
    return {
        **scaling(queue, workers),
        "terminationGracePeriodSeconds": workers.grace_seconds,
        "resources": {
            "requests": {"cpu": f"{round(workers.cpu * 1000)}m", "memory": memory, **gpus},
            "limits": {"memory": memory, **gpus},
        },
    }


def git_sync(dags: DagSettings) -> dict[str, Any]:
    """Values under `dags.gitSync`: every pod follows the relay, never the Git host."""
    if dags.mode != "git-sync":
        return {"enabled": False}
    return {
        "enabled": True,
        "repo": dag_relay.git_sync_url(dags),
        # git-sync reads both: the default of the older name would take precedence.
        "branch": dag_relay.BRANCH,
        "ref": dag_relay.BRANCH,
        "subPath": dags.sub_path,
        "period": GIT_SYNC_PERIOD,
        "emptyDirConfig": {"sizeLimit": f"{dags.checkout_mb}Mi"},
    }


def dag_bundles(dags: DagSettings) -> dict[str, Any]:
    """Values under `dagProcessor`: the DAG bundles of all pods."""
    if dags.mode == "bundle":
        bundles = [
            {
                "name": name or "dags",
                "classpath": dag_relay.BUNDLE_CLASS,
                "kwargs": {
                    "repo_url": dag_relay.url(name),
                    "tracking_ref": dag_relay.BRANCH,
                    "subdir": repository.sub_path or None,
                    "refresh_interval": BUNDLE_REFRESH_SECONDS,
                },
            }
            for name, repository in dags.all_repositories.items()
        ]
        return {
            "dagBundleConfigList": bundles,
            # The Git hook that git-sync also uses: a changed module makes Airflow parse its importers.
            # https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT
            "env": [
                {"name": "GIT_CONFIG_COUNT", "value": "1"},
                {"name": "GIT_CONFIG_KEY_0", "value": "core.hooksPath"},
                {"name": "GIT_CONFIG_VALUE_0", "value": "/relay"},
                *plain_variables(dag_relay.GIT_ENV),
            ],
            "extraVolumeMounts": [{"name": "dag-relay", "mountPath": "/relay", "readOnly": True}],
        }
    if dags.repositories:
        bundles = [
            {"name": name, "classpath": LOCAL_BUNDLE, "kwargs": {"path": path} if path else {}}
            for name, path in {CHART_BUNDLE: None, **_folders(dags)}.items()
        ]
        return {"dagBundleConfigList": bundles}
    return {}  # the chart's default


def _folders(dags: DagSettings) -> dict[str, str]:
    """DAG folders of `dags.repositories` in git-sync's checkout."""
    return {
        name: f"{CHECKOUT}/{dag_relay.REPOSITORIES}/{name}/{repository.sub_path}".rstrip("/")
        for name, repository in dags.repositories.items()
    }


def airflow_config(
    airflow: AirflowSettings, default_queue: WorkerSettings, dags: DagSettings
) -> dict[str, dict[str, Any]]:
    """Values under `config`: options of airflow.cfg. `airflow.config` overrides them."""
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
        literal = {option: in_airflow_cfg(value) for option, value in options.items()}
        derived[section] = {**derived.get(section, {}), **literal}
    return derived


def in_airflow_cfg(value: Any) -> str:
    """An option as a text that the chart writes into airflow.cfg unchanged.

    Helm spells large numbers as 1e+06, evaluates braces, and takes a second line for YAML.
    """
    return as_text(value).replace("{{", '{{ "{{" }}').replace("\n", "\n" + 8 * " ")


def scheduler_env(
    airflow: AirflowSettings, queues: Collection[WorkerSettings]
) -> list[dict[str, Any]]:
    """Values under `scheduler.env`.

    Only schedulers read `parallelism`. In airflow.cfg, every change of `workers.max` would restart
    every pod: docs/adr/0006-parallelism-only-on-the-scheduler.md.
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
        # The chart routes every path to the Service of the API server. The port name
        # `use-annotation` makes the load balancer use the action of that name instead.
        target = {"serviceName": dag_relay.WEBHOOK_NAME, "servicePort": dag_relay.WEBHOOK_PORT}
        action = f"alb.ingress.kubernetes.io/actions.{chart_names.API_SERVER}"
        values["annotations"][action] = json.dumps(
            {"type": "forward", "forwardConfig": {"targetGroups": [target]}}
        )
        values["precedingPaths"] = [
            {"path": dag_relay.WEBHOOK_PATH, "pathType": "Exact", "servicePort": "use-annotation"}
        ]
    return values
