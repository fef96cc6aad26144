"""The only client of the Git host. Airflow's pods follow the relay and need no credentials.

docs/adr/0012-one-relay-fetches-the-dags.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.stateful_server import Sidecar, StatefulServer, StatefulServerArgs
from components.support import network_peers
from components.support.hardened_pod import IN_POD, script_checksum
from components.support.named_secret import NamedSecret, annotations, named_secret
from components.support.passwords import password
from settings import Secrets
from settings.dags import DagSettings, GithubAppAuth, NoAuth, SshAuth, TokenAuth

NAME = "dag-relay"
LABELS = {"app.kubernetes.io/name": NAME}
PORT = 9418
BRANCH = "dags"
URL = f"git://{NAME}:{PORT}/dags.git"
USER_ID = 65533  # `git-sync` in its image: ssh needs a user with a name
MEMORY_MB = 256
# Deadline for the first sync. Afterwards the pod stays ready and serves the last good commit, even
# if the Git host is down.
READY_MINUTES = 10

PUBLISHED = "/git/dags.git"
LOGIN = "/etc/git-login"
METRICS_PORT = 9090
SYNC_MEMORY_MB = 512
FETCH = IN_POD / "dag_relay_fetch.sh"
PUBLISH = IN_POD / "dag_relay_publish.sh"
PRESERVE_MTIMES = IN_POD / "preserve_mtimes.sh"

WEBHOOK = IN_POD / "dag_relay_webhook.py"
WEBHOOK_NAME = f"{NAME}-webhook"
WEBHOOK_PORT = 8080
WEBHOOK_PATH = "/dag-relay"  # PATH of the script
WEBHOOK_HEALTH = "/health"  # HEALTH of the script
WEBHOOK_MEMORY_MB = 128
WEBHOOK_LOGIN = "/etc/webhook"
# Pipe on the data volume: git-sync's container creates it, the webhook writes into it.
ANNOUNCED = "/git/announced"


@dataclass(frozen=True, kw_only=True)
class DagRelayArgs:
    namespace: pulumi.Input[str]
    # Must contain Git and Python.
    image: str
    dags: DagSettings
    secrets: Secrets
    webhook_rotation: int
    # Source of webhook calls. Without it only `kubectl port-forward` reaches the webhook.
    load_balancer_cidrs: Sequence[str] = ()
    pull_secret: pulumi.Input[str] | None = None


class DagRelay(pulumi.ComponentResource):
    """Git server with git-sync: ready after the first sync, then serves the last good commit."""

    def __init__(
        self, name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DagRelay", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        scripts = {
            "fetch": FETCH,
            "publish": PUBLISH,
            # Git hook of Airflow's pods, which also mount this ConfigMap: values/airflow.yaml.
            "post-index-change": PRESERVE_MTIMES,
        }
        if args.dags.webhook:
            scripts["webhook"] = WEBHOOK
        config = core.ConfigMap(
            f"{name}-config",
            metadata=meta.ObjectMetaArgs(name=name, namespace=args.namespace),
            data={
                **{key: script.read_text() for key, script in scripts.items()},
                "ca.pem": Path(args.dags.ca_file).read_text() if args.dags.ca_file else "",
            },
            opts=child,
        )
        relay = core.ConfigMapVolumeSourceArgs(name=config.metadata.name, default_mode=0o555)
        login = _login(name, args, child)
        sidecars = [_git_sync(args, relay, login)]
        checksums: dict[str, pulumi.Input[str]] = {**annotations(*[login] if login else [])}
        if args.dags.webhook:
            secret = _webhook_secret(name, args, child)
            sidecars.append(_webhook(args, relay, secret))
            script = script_checksum(WEBHOOK.read_text())
            checksums |= {**annotations(secret), "checksum/webhook-script": script}
            core.Service(
                f"{name}-webhook",
                metadata=meta.ObjectMetaArgs(
                    name=WEBHOOK_NAME,
                    namespace=args.namespace,
                    # Overrides the health check of the Ingress, which is the API server's.
                    annotations={"alb.ingress.kubernetes.io/healthcheck-path": WEBHOOK_HEALTH},
                ),
                spec=core.ServiceSpecArgs(
                    selector=LABELS, ports=[core.ServicePortArgs(port=WEBHOOK_PORT)]
                ),
                opts=child,
            )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                pull_secret=args.pull_secret,
                image=args.image,
                command=["git", "daemon", "--export-all", "--reuseaddr", "--informative-errors"],
                args=[f"--port={PORT}", "--base-path=/git", PUBLISHED],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/git",
                storage_gb=args.dags.storage_gb,
                memory_mb=MEMORY_MB,
                # Wait until the Service has removed this endpoint: a client that connects to an
                # address without a pod times out only after two minutes.
                before_stop=["sleep", "5"],
                ready=["git", "ls-remote", "--exit-code", "git://127.0.0.1/dags.git", BRANCH],
                sidecars=sidecars,
                annotations=checksums,
                clients=[network_peers.airflow_pods()],
                ready_minutes=READY_MINUTES,
            ),
            opts=child,
        )
        self.register_outputs({})


def _git_sync(
    args: DagRelayArgs, relay: core.ConfigMapVolumeSourceArgs, login: NamedSecret | None
) -> Sidecar:
    return Sidecar(
        name="git-sync",
        image=args.dags.git_sync_reference,
        command=["/relay/fetch"],
        args=["/git-sync"],
        env=_env(_git_sync_flags(args)),
        files={"/relay": relay} | ({LOGIN: _files(login)} if login else {}),
        port=METRICS_PORT,
        memory_mb=SYNC_MEMORY_MB,
        clients=[network_peers.monitoring()],
    )


def _webhook(
    args: DagRelayArgs, relay: core.ConfigMapVolumeSourceArgs, secret: NamedSecret
) -> Sidecar:
    """Endpoint that the Git host calls. It has no login and can only write into the pipe."""
    return Sidecar(
        name="webhook",
        image=args.image,
        command=["python", "-I", "/relay/webhook"],
        env=_env(
            {
                "PORT": str(WEBHOOK_PORT),
                "ANNOUNCED": ANNOUNCED,
                "SECRET_FILE": f"{WEBHOOK_LOGIN}/secret",
            }
        ),
        files={"/relay": relay, WEBHOOK_LOGIN: _files(secret)},
        port=WEBHOOK_PORT,
        memory_mb=WEBHOOK_MEMORY_MB,
        clients=[network_peers.address_range(cidr) for cidr in args.load_balancer_cidrs],
        # DAGs are code: write access to the volume is code execution on every worker.
        read_only=True,
    )


def _env(variables: dict[str, str]) -> list[core.EnvVarArgs]:
    return [core.EnvVarArgs(name=name, value=value) for name, value in variables.items()]


def _files(secret: NamedSecret) -> core.SecretVolumeSourceArgs:
    return core.SecretVolumeSourceArgs(secret_name=secret.name, default_mode=0o400)


def _git_sync_flags(args: DagRelayArgs) -> dict[str, str]:
    """https://github.com/kubernetes/git-sync#manual"""
    dags = args.dags
    env = {
        "GITSYNC_REPO": dags.repo,
        "GITSYNC_REF": dags.ref,
        "GITSYNC_ROOT": "/git/sync",
        # The full history: bundles use older commits, and only this pod fetches it.
        "GITSYNC_DEPTH": "0",
        "GITSYNC_PERIOD": f"{dags.poll_seconds:g}s",
        "GITSYNC_MAX_FAILURES": "-1",
        # Long enough for the first clone: killing a slow Git would leave stale locks.
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
        # The first is for Git, the second for git-sync, which requests tokens from GitHub.
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
    """Credentials for the Git host, as files."""
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


def _webhook_secret(name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions) -> NamedSecret:
    secret = password(
        f"{name}-webhook-key",
        configured=args.secrets.git_webhook_secret,
        rotation=args.webhook_rotation,
        opts=opts,
    )
    return named_secret(
        f"{name}-webhook-secret",
        name=WEBHOOK_NAME,
        namespace=args.namespace,
        data={"secret": secret},
        opts=opts,
    )
