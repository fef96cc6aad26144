"""The one fetcher of the Git host. The pods of Airflow follow its copy and need no credentials."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.namespace import MONITORING, PODS_OF_AIRFLOW
from components.kubernetes.stateful_server import Sidecar, StatefulServer, StatefulServerArgs
from components.support.hardened_pod import IN_POD, script_checksum
from components.support.named_secret import NamedSecret, annotations, named_secret
from components.support.passwords import password
from settings import Secrets
from settings.dags import DagSettings, GithubAppAuth, NoAuth, SshAuth, TokenAuth
from settings.versions import GIT_SYNC_IMAGE

NAME = "dag-relay"
PORT = 9418
BRANCH = "dags"
URL = f"git://{NAME}:{PORT}/dags.git"
METRICS_PORT = 9090
# Itself, as a NetworkPolicy peer.
POD = {"pod_selector": {"match_labels": {"app.kubernetes.io/name": NAME}}}
USER_ID = 65533  # `git-sync` in that image: ssh asks for the name of its user
SERVE_MEMORY_MB = 256
SYNC_MEMORY_MB = 512
PUBLISHED = "/git/dags.git"
PUBLISH = IN_POD / "dag_relay_publish.sh"
PRESERVE_MTIMES = IN_POD / "preserve_mtimes.sh"
# Of the first commit. Later the pod stays ready, whatever the Git host does: it has the last good one.
READY_MINUTES = 10
LOGIN = "/etc/git-login"
FETCH = IN_POD / "dag_relay_fetch.sh"
WEBHOOK = IN_POD / "dag_relay_webhook.py"
WEBHOOK_NAME = f"{NAME}-webhook"
WEBHOOK_PORT = 8080
WEBHOOK_PATH = "/dag-relay"  # PATH of the webhook's script
WEBHOOK_HEALTH = "/health"  # HEALTH of the webhook's script
WEBHOOK_MEMORY_MB = 128
WEBHOOK_LOGIN = "/etc/webhook"
# Beside what is published: git-sync's container makes it, the webhook writes into it.
ANNOUNCED = "/git/announced"


@dataclass(frozen=True, kw_only=True)
class DagRelayArgs:
    """`image` has Git and Python in it.

    `load_balancer_cidr` is where calls of the webhook come from; None: from `kubectl port-forward` only.
    """

    namespace: pulumi.Input[str]
    image: str
    dags: DagSettings
    secrets: Secrets
    webhook_generation: int
    load_balancer_cidr: str | None = None


class DagRelay(pulumi.ComponentResource):
    """Ready when it has a commit; from then on it serves the last good one, from its own volume."""

    def __init__(
        self, name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DagRelay", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        scripts = {
            "fetch": FETCH,
            "publish": PUBLISH,
            # Of the pods of Airflow, which find it under /relay, too: values/airflow.yaml.
            "post-index-change": PRESERVE_MTIMES,
        }
        if args.dags.webhook:
            scripts["webhook"] = WEBHOOK
        config = k8s.core.v1.ConfigMap(
            f"{name}-config",
            metadata={"name": name, "namespace": args.namespace},
            data={
                **{key: script.read_text() for key, script in scripts.items()},
                "ca.pem": Path(args.dags.ca_file).read_text() if args.dags.ca_file else "",
            },
            opts=child,
        )
        login = _login(name, args, child)
        relay = {"config_map": {"name": config.metadata.name, "default_mode": 0o555}}
        files: dict[str, Mapping[str, Any]] = {"/relay": relay}
        if login is not None:
            files[LOGIN] = {"secret": {"secret_name": login.name, "default_mode": 0o400}}
        git_sync = Sidecar(
            name="git-sync",
            image=GIT_SYNC_IMAGE,
            command=["/relay/fetch"],
            args=["/git-sync"],
            env=[{"name": key, "value": value} for key, value in _env(args).items()],
            files=files,
            port=METRICS_PORT,
            memory_mb=SYNC_MEMORY_MB,
            clients=[MONITORING],
        )
        sidecars = [git_sync]
        checksums: dict[str, pulumi.Input[str]] = {**annotations(*[login] if login else [])}
        if args.dags.webhook:
            secret = _webhook_secret(name, args, child)
            sidecars.append(_webhook(args, relay, secret))
            script = script_checksum(WEBHOOK.read_text())
            checksums |= {**annotations(secret), "checksum/webhook-script": script}
            k8s.core.v1.Service(
                f"{name}-webhook",
                metadata={
                    "name": WEBHOOK_NAME,
                    "namespace": args.namespace,
                    # The Ingress has that of the API server; what a Service says comes first.
                    "annotations": {"alb.ingress.kubernetes.io/healthcheck-path": WEBHOOK_HEALTH},
                },
                spec={
                    "selector": POD["pod_selector"]["match_labels"],
                    "ports": [{"port": WEBHOOK_PORT}],
                },
                opts=child,
            )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                image=args.image,
                command=["git", "daemon", "--export-all", "--reuseaddr", "--informative-errors"],
                args=[f"--port={PORT}", "--base-path=/git", PUBLISHED],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/git",
                storage_gb=args.dags.storage_gb,
                memory_mb=SERVE_MEMORY_MB,
                # Its Service forgets it first: a pod that connects to an address where nobody is any more
                # waits for two minutes.
                before_stop=["sleep", "5"],
                ready=["git", "ls-remote", "--exit-code", "git://127.0.0.1/dags.git", BRANCH],
                sidecars=sidecars,
                annotations=checksums,
                clients=[{"pod_selector": {"match_labels": PODS_OF_AIRFLOW}}],
                ready_minutes=READY_MINUTES,
            ),
            opts=child,
        )
        self.register_outputs({})


def _webhook_secret(name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions) -> NamedSecret:
    secret = password(
        f"{name}-webhook-key",
        configured=args.secrets.git_webhook_secret,
        generation=args.webhook_generation,
        opts=opts,
    )
    return named_secret(
        f"{name}-webhook-secret",
        name=WEBHOOK_NAME,
        namespace=args.namespace,
        data={"secret": secret},
        opts=opts,
    )


def _webhook(args: DagRelayArgs, relay: Mapping[str, Any], secret: NamedSecret) -> Sidecar:
    """What the Git host calls. It sees no login, and writes nothing but a line into the pipe."""
    env = {
        "PORT": str(WEBHOOK_PORT),
        "ANNOUNCED": ANNOUNCED,
        "SECRET_FILE": f"{WEBHOOK_LOGIN}/secret",
    }
    cidr = args.load_balancer_cidr
    return Sidecar(
        name="webhook",
        image=args.image,
        command=["python", "-I", "/relay/webhook"],
        env=[{"name": key, "value": value} for key, value in env.items()],
        files={
            "/relay": relay,
            WEBHOOK_LOGIN: {"secret": {"secret_name": secret.name, "default_mode": 0o400}},
        },
        port=WEBHOOK_PORT,
        memory_mb=WEBHOOK_MEMORY_MB,
        clients=[{"ip_block": {"cidr": cidr}}] if cidr else [],
        # DAGs are code: whoever writes into the volume runs on every worker.
        read_only=True,
    )


def _env(args: DagRelayArgs) -> dict[str, str]:
    """Flags of git-sync: https://github.com/kubernetes/git-sync#manual"""
    dags = args.dags
    env = {
        "GITSYNC_REPO": dags.repo,
        "GITSYNC_REF": dags.ref,
        "GITSYNC_ROOT": "/git/sync",
        # All of the history: bundles go back in it, and only this one pod ever fetches it.
        "GITSYNC_DEPTH": "0",
        "GITSYNC_PERIOD": f"{dags.poll_seconds:g}s",
        "GITSYNC_MAX_FAILURES": "-1",
        # Git that is killed leaves locks behind: only what hangs may be. The first clone takes a while.
        "GITSYNC_SYNC_TIMEOUT": "600s",
        "GITSYNC_EXECHOOK_COMMAND": "/relay/publish",
        "GITSYNC_EXECHOOK_TIMEOUT": "120s",
        "GITSYNC_HTTP_BIND": f":{METRICS_PORT}",
        "GITSYNC_HTTP_METRICS": "true",
        "PUBLISHED": PUBLISHED,
        "BRANCH": BRANCH,
        "SUB_PATH": dags.sub_path or ".",
        "MAX_MB": str(dags.max_mb),
    }
    if dags.webhook:
        env |= {"GITSYNC_SYNC_ON_SIGNAL": "SIGHUP", "ANNOUNCED": ANNOUNCED}
    if dags.ca_file is not None:
        # Git reads the one, and git-sync itself, where it asks GitHub for a token, the other.
        env |= {"GIT_SSL_CAINFO": "/relay/ca.pem", "SSL_CERT_FILE": "/relay/ca.pem"}
    match dags.auth:
        case TokenAuth(username=username):
            env |= {"GITSYNC_USERNAME": username, "GITSYNC_PASSWORD_FILE": f"{LOGIN}/token"}
        case SshAuth():
            env |= {
                "GITSYNC_SSH_KEY_FILE": f"{LOGIN}/key",
                "GITSYNC_SSH_KNOWN_HOSTS_FILE": f"{LOGIN}/known_hosts",
            }
        case GithubAppAuth(client_id=client_id, installation_id=installation_id, api_url=api_url):
            env |= {
                "GITSYNC_GITHUB_APP_CLIENT_ID": client_id,
                "GITSYNC_GITHUB_APP_INSTALLATION_ID": str(installation_id),
                "GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE": f"{LOGIN}/key",
                "GITSYNC_GITHUB_BASE_URL": api_url,
            }
        case NoAuth():
            pass
    return env


def _login(name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions) -> NamedSecret | None:
    """What the relay logs in with, as files."""
    data: dict[str, pulumi.Output[str] | str | None] = {}
    match args.dags.auth:
        case TokenAuth():
            data = {"token": args.secrets.git_token}
        case SshAuth(known_hosts=known_hosts):
            data = {"key": args.secrets.git_ssh_key, "known_hosts": known_hosts}
        case GithubAppAuth():
            data = {"key": args.secrets.github_app_key}
        case NoAuth():
            return None
    return named_secret(
        f"{name}-login",
        name="airflow-git",
        namespace=args.namespace,
        data={key: value for key, value in data.items() if value is not None},
        opts=opts,
    )
