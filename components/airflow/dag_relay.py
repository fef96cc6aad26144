"""The only client of the Git host. Airflow's pods follow the relay and need no credentials.

docs/adr/0012-one-relay-fetches-the-dags.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import selector
from components.kubernetes.stateful_server import Sidecar, StatefulServer, StatefulServerArgs
from components.support import network_peers
from components.support.hardened_pod import IN_POD, plain_env, script_checksum
from components.support.named_secret import NamedSecret, annotations, named_secret
from components.support.passwords import password
from settings import Secrets
from settings.dags import DagSettings, GithubAppAuth, NoAuth, SshAuth, TokenAuth, git_secret

NAME = "dag-relay"
LABELS = selector(NAME)
PORT = 9418
BRANCH = "dags"
# Folder of dags.repositories in the tree that git-sync's pods follow.
REPOSITORIES = "repositories"
USER_ID = 65533  # `git-sync` in its image: ssh needs a user with a name
MEMORY_MB = 256
# Deadline for the first sync. Afterwards the pod stays ready and serves the last good commit, even
# if the Git host is down.
READY_MINUTES = 10

DATA = "/git"
# The tree of all repositories. It is made of what is published, so it need not outlive the pod: a
# full volume of one repository must not stop the others.
COMBINED = "/combined"
LOGIN = "/etc/git-login"
METRICS_PORT = 9090
SYNC_MEMORY_MB = 512
FETCH = IN_POD / "dag_relay_fetch.sh"
PUBLISH = IN_POD / "dag_relay_publish.sh"
RENEW = IN_POD / "dag_relay_renew.sh"
COMBINE = IN_POD / "dag_relay_combine.sh"
PRESERVE_MTIMES = IN_POD / "preserve_mtimes.sh"
GATE = IN_POD / "dag_relay_gate.py"
GATE_SERVER = IN_POD / "dag_relay_gate_server.py"
GATE_PORT = 9419  # on loopback only
GATE_MEMORY_MB = 128
GIT_CONFIG = IN_POD / "gitconfig"
BUNDLE = IN_POD / "relay_bundle.py"
BUNDLE_CLASS = "relay_bundle.RelayBundle"
# Of each container with Git that mounts the scripts. https://git-scm.com/docs/git-config#FILES
GIT_ENV = {"GIT_CONFIG_SYSTEM": f"/relay/{GIT_CONFIG.name}"}

WEBHOOK = IN_POD / "dag_relay_webhook.py"
WEBHOOK_NAME = f"{NAME}-webhook"
WEBHOOK_PORT = 8080
WEBHOOK_PATH = "/dag-relay"  # PATH of the script
WEBHOOK_HEALTH = "/health"  # HEALTH of the script
WEBHOOK_MEMORY_MB = 128
WEBHOOK_LOGIN = "/etc/webhook"


def _folder(repository: str) -> str:
    """Mount path of a repository's volume."""
    return f"/{REPOSITORIES}/{repository}" if repository else DATA


def published_path(repository: str) -> str:
    return f"{_folder(repository)}/dags.git"


def rejected_path(repository: str) -> str:
    """Why the newest commit is not published; the publish script writes it."""
    return f"{published_path(repository)}.rejected"


def fetch_error_path(repository: str) -> str:
    """Why the last fetch failed: JSON of git-sync."""
    return f"{_folder(repository)}/fetch-error"


def _announced(repository: str) -> str:
    """Pipe on the data volume: git-sync's container creates it, the webhook writes into it."""
    return f"{_folder(repository)}/announced"


def _combines(dags: DagSettings) -> bool:
    return dags.mode == "git-sync" and bool(dags.repositories)


def url(repository: str = "") -> str:
    """Where Airflow's pods find a published repository; without a name, that of `dags.repo`."""
    path = published_path(repository) if repository else "/dags.git"
    return f"git://{NAME}:{PORT}{path}"


def git_sync_url(dags: DagSettings) -> str:
    """What the pods follow with `dags.mode: git-sync`."""
    return f"git://{NAME}:{PORT}{COMBINED}/dags.git" if _combines(dags) else url()


@dataclass(frozen=True, kw_only=True)
class DagRelayArgs:
    namespace: pulumi.Input[str]
    # Must contain Git and Python.
    image: str
    dags: DagSettings
    secrets: Secrets
    # Secrets of the logins in `dags.repositories`, by the repository's name.
    logins: Mapping[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])
    webhook_rotation: int
    # Source of webhook calls. Without it only `kubectl port-forward` reaches the webhook.
    load_balancer_cidrs: Sequence[str] = ()
    pull_secret: pulumi.Input[str] | None = None
    storage_class: str | None = None
    # Environment variables of the proxy.
    proxy: Mapping[str, str] = field(default_factory=dict[str, str])


class DagRelay(pulumi.ComponentResource):
    """Git server with git-sync: ready after the first sync, then serves the last good commit."""

    def __init__(
        self, name: str, args: DagRelayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:DagRelay", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        repositories = args.dags.all_repositories
        scripts = {
            "fetch": FETCH,
            "publish": PUBLISH,
            "renew": RENEW,
            "combine": COMBINE,
            # Git hook of Airflow's pods, which also mount this ConfigMap: values/airflow.yaml.
            "post-index-change": PRESERVE_MTIMES,
            # Airflow's pods mount it where they import it.
            BUNDLE.name: BUNDLE,
            "gate.py": GATE,
            "gate-server": GATE_SERVER,
            GIT_CONFIG.name: GIT_CONFIG,
        }
        if args.dags.webhook:
            scripts["webhook"] = WEBHOOK
        config = core.ConfigMap(
            f"{name}-config",
            metadata=meta.ObjectMetaArgs(name=name, namespace=args.namespace),
            data={
                **{key: script.read_text() for key, script in scripts.items()},
                **{
                    _ca_file(repository): Path(settings.ca_file).read_text()
                    for repository, settings in repositories.items()
                    if settings.ca_file
                },
            },
            opts=child,
        )
        relay = core.ConfigMapVolumeSourceArgs(name=config.metadata.name, default_mode=0o555)
        sidecars: list[Sidecar] = []
        logins: list[NamedSecret] = []
        for number, repository in enumerate(repositories):
            login = _login(name, repository, args, child)
            logins += [login] if login else []
            sidecars.append(_git_sync(repository, METRICS_PORT + number, args, relay, login))
        sidecars.append(_gate(args, relay))
        checksums: dict[str, pulumi.Input[str]] = {
            **annotations(*logins),
            "checksum/gate-script": script_checksum(GATE.read_text(), GATE_SERVER.read_text()),
        }
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
                storage_class=args.storage_class,
                image=args.image,
                command=["git", "daemon", "--export-all", "--reuseaddr", "--informative-errors"],
                args=[f"--port={PORT}", f"--base-path={DATA}", *_served(args.dags)],
                env=plain_env(GIT_ENV),
                files={"/relay": relay},
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path=DATA,
                storage_gb=args.dags.storage_gb,
                # A repository that fills its volume stops only itself.
                more_data={_folder(other): other for other in args.dags.repositories},
                scratch=[COMBINED] if _combines(args.dags) else [],
                memory_mb=MEMORY_MB,
                # Wait until the Service has removed this endpoint: a client that connects to an
                # address without a pod times out only after two minutes.
                before_stop=["sleep", "5"],
                ready=["git", "ls-remote", "--exit-code", _local(args.dags), BRANCH],
                sidecars=sidecars,
                annotations=checksums,
                clients=[network_peers.airflow_pods()],
                ready_minutes=READY_MINUTES,
            ),
            opts=child,
        )
        self.register_outputs({})


def _served(dags: DagSettings) -> list[str]:
    """Arguments of git daemon: the repositories that Airflow's pods follow."""
    if _combines(dags):
        return ["--base-path-relaxed", f"{COMBINED}/dags.git"]
    relaxed = ["--base-path-relaxed"] if dags.repositories else []
    return [*relaxed, *map(published_path, dags.all_repositories)]


def _local(dags: DagSettings) -> str:
    return git_sync_url(dags).replace(f"{NAME}:{PORT}", "127.0.0.1")


def _ca_file(repository: str) -> str:
    return f"ca-{repository}.pem" if repository else "ca.pem"


def _git_sync(
    repository: str,
    port: int,
    args: DagRelayArgs,
    relay: core.ConfigMapVolumeSourceArgs,
    login: NamedSecret | None,
) -> Sidecar:
    return Sidecar(
        name=f"git-sync-{repository}" if repository else "git-sync",
        image=args.dags.git_sync_reference,
        command=["/relay/fetch"],
        args=["/git-sync"],
        env=plain_env({**_git_sync_flags(repository, port, args.dags), **args.proxy}),
        files={"/relay": relay} | ({LOGIN: _files(login)} if login else {}),
        port=port,
        memory_mb=SYNC_MEMORY_MB,
        clients=[network_peers.monitoring()],
    )


def _gate(args: DagRelayArgs, relay: core.ConfigMapVolumeSourceArgs) -> Sidecar:
    """Judges commits for the publish script: the image of git-sync has no Python."""
    return Sidecar(
        name="gate",
        image=args.image,
        # Not -I: the script imports the one beside it.
        command=["python", "-sE", "/relay/gate-server"],
        env=plain_env(
            {
                "PORT": str(GATE_PORT),
                "MAX_MB": str(args.dags.max_mb),
                "MAX_FILE_MB": str(args.dags.max_file_mb),
                "MAX_FILES": str(args.dags.max_files),
            }
            | GIT_ENV
        ),
        files={"/relay": relay},
        port=GATE_PORT,
        memory_mb=GATE_MEMORY_MB,
        clients=[],
        read_only=True,
    )


def _webhook(
    args: DagRelayArgs, relay: core.ConfigMapVolumeSourceArgs, secret: NamedSecret
) -> Sidecar:
    """Endpoint that the Git host calls. It has no login and can only write into the pipe."""
    return Sidecar(
        name="webhook",
        image=args.image,
        command=["python", "-I", "/relay/webhook"],
        env=plain_env(
            {
                "PORT": str(WEBHOOK_PORT),
                "ANNOUNCED": ":".join(map(_announced, args.dags.all_repositories)),
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


def _files(secret: NamedSecret) -> core.SecretVolumeSourceArgs:
    return core.SecretVolumeSourceArgs(secret_name=secret.name, default_mode=0o400)


def _git_sync_flags(repository: str, port: int, dags: DagSettings) -> dict[str, str]:
    """https://github.com/kubernetes/git-sync#manual"""
    settings = dags.all_repositories[repository]
    env = {
        "GITSYNC_REPO": settings.repo,
        "GITSYNC_REF": settings.ref,
        "GITSYNC_ROOT": f"{_folder(repository)}/sync",
        # The full history: bundles use older commits, and only this pod fetches it.
        "GITSYNC_DEPTH": "0",
        "GITSYNC_PERIOD": f"{dags.poll_seconds:g}s",
        "GITSYNC_MAX_FAILURES": "-1",
        # Long enough for the first clone: killing a slow Git would leave stale locks.
        "GITSYNC_SYNC_TIMEOUT": "600s",
        "GITSYNC_EXECHOOK_COMMAND": "/relay/publish",
        "GITSYNC_EXECHOOK_TIMEOUT": "120s",
        "GITSYNC_HTTP_BIND": f":{port}",
        "GITSYNC_HTTP_METRICS": "true",
        "GITSYNC_ERROR_FILE": fetch_error_path(repository),
        "PUBLISHED": published_path(repository),
        "REJECTED": rejected_path(repository),
        "BRANCH": BRANCH,
        "SUB_PATH": settings.sub_path or ".",
        "GATE_PORT": str(GATE_PORT),
        **GIT_ENV,
    }
    if settings.lfs:
        env["LFS"] = "true"
    if dags.mode == "bundle":
        env["KEEP"] = "true"
    if repository:
        env["SETTING"] = f"dags.repositories.{repository}"
    if _combines(dags):
        env |= {
            "RESERVED": "" if repository else REPOSITORIES,
            "COMBINED": f"{COMBINED}/dags.git",
            "MAIN": published_path(""),
            "OTHERS": " ".join(map(published_path, dags.repositories)),
        }
    if dags.webhook:
        env |= {"GITSYNC_SYNC_ON_SIGNAL": "SIGHUP", "ANNOUNCED": _announced(repository)}
    if settings.ca_file is not None:
        # The first is for Git, the second for git-sync, which requests tokens from GitHub.
        ca_file = f"/relay/{_ca_file(repository)}"
        env |= {"GIT_SSL_CAINFO": ca_file, "SSL_CERT_FILE": ca_file}
    match settings.auth:
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


def _login(
    name: str, repository: str, args: DagRelayArgs, opts: pulumi.ResourceOptions
) -> NamedSecret | None:
    """Credentials for the Git host, as files."""
    auth = args.dags.all_repositories[repository].auth
    key = git_secret(auth)
    if key is None:
        return None
    secret = args.logins[repository] if repository else getattr(args.secrets, key)
    match auth:
        case TokenAuth():
            data = {"token": secret}
        case SshAuth(known_hosts=known_hosts):
            data = {"key": secret.apply(_whole_lines), "known_hosts": known_hosts}
        case _:
            data = {"key": secret.apply(_whole_lines)}
    return named_secret(
        f"{name}-{repository}-login" if repository else f"{name}-login",
        name=f"airflow-git-{repository}" if repository else "airflow-git",
        namespace=args.namespace,
        data=data,
        opts=opts,
    )


def _whole_lines(key: str) -> str:
    """A private key with a newline after each line.

    Without the last one, OpenSSH reports "error in libcrypto", and `pulumi config set` drops it.
    """
    return "".join(f"{line}\n" for line in key.splitlines())


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
