"""The one fetcher of the Git host. The pods of Airflow follow its copy and need no credentials."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.named_secret import NamedSecret, annotations, named_secret
from components.namespace import MONITORING, PODS_OF_AIRFLOW
from components.stateful_server import Sidecar, StatefulServer, StatefulServerArgs
from sections.airflow import DagSettings, GithubAppAuth, NoAuth, SshAuth, TokenAuth
from settings import Secrets

NAME = "dag-relay"
PORT = 9418
BRANCH = "dags"
URL = f"git://{NAME}:{PORT}/dags.git"
GIT_SYNC = "registry.k8s.io/git-sync/git-sync:v4.4.2"  # renovate: datasource=docker
METRICS_PORT = 9090
# Itself, as a NetworkPolicy peer.
POD = {"pod_selector": {"match_labels": {"app.kubernetes.io/name": NAME}}}
USER_ID = 65533  # `git-sync` in that image: ssh asks for the name of its user
SERVE_MEMORY_MB = 256
SYNC_MEMORY_MB = 512
PUBLISHED = "/git/dags.git"
PUBLISH = Path(__file__).with_name("dag_relay_publish.sh")
KEEP_TIMES = Path(__file__).with_name("dag_relay_keep_times.sh")
# Of the first commit. Later the pod stays ready, whatever the Git host does: it has the last good one.
READY_MINUTES = 5
LOGIN = "/etc/git-login"


@dataclass(frozen=True, kw_only=True)
class DagRelayArgs:
    """`image` has Git in it."""

    namespace: pulumi.Input[str]
    image: str
    dags: DagSettings
    secrets: Secrets


class DagRelay(pulumi.ComponentResource):
    """Ready when it has a commit; from then on it serves the last good one, from its own volume."""

    def __init__(
        self, name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DagRelay", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        config = k8s.core.v1.ConfigMap(
            f"{name}-config",
            metadata={"name": name, "namespace": args.namespace},
            data={
                "publish": PUBLISH.read_text(),
                # Of the pods of Airflow, which find it under /relay, too: values/airflow.yaml.
                "post-index-change": KEEP_TIMES.read_text(),
                "ca.pem": Path(args.dags.ca_file).read_text() if args.dags.ca_file else "",
            },
            opts=child,
        )
        login = _login(name, args, child)
        files: dict[str, Mapping[str, Any]] = {
            "/relay": {"config_map": {"name": config.metadata.name, "default_mode": 0o555}}
        }
        if login is not None:
            files[LOGIN] = {"secret": {"secret_name": login.name, "default_mode": 0o400}}
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
                ready=["git", "ls-remote", "--exit-code", "git://127.0.0.1/dags.git", BRANCH],
                sidecars=[
                    Sidecar(
                        name="git-sync",
                        image=GIT_SYNC,
                        env=[{"name": key, "value": value} for key, value in _env(args).items()],
                        files=files,
                        port=METRICS_PORT,
                        memory_mb=SYNC_MEMORY_MB,
                        clients=[MONITORING],
                    )
                ],
                annotations=annotations(*[login] if login else []),
                clients=[{"pod_selector": {"match_labels": PODS_OF_AIRFLOW}}],
                ready_minutes=READY_MINUTES,
            ),
            opts=child,
        )
        self.register_outputs({})


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
        "GITSYNC_EXECHOOK_COMMAND": "/relay/publish",
        "GITSYNC_EXECHOOK_TIMEOUT": "120s",
        "GITSYNC_HTTP_BIND": f":{METRICS_PORT}",
        "GITSYNC_HTTP_METRICS": "true",
        "PUBLISHED": PUBLISHED,
        "BRANCH": BRANCH,
        "SUB_PATH": dags.sub_path or ".",
        "MAX_MB": str(dags.max_mb),
    }
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
