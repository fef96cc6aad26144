"""Git server in the cluster, for stacks without a Git host: seeded once, then pushed to."""

from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.airflow import dag_relay
from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support import network_peers
from components.support.hardened_pod import IN_POD
from settings.git_server import GitServerSettings

PORT = 9418
USER_ID = 50000  # `airflow` in the Airflow image, which contains Git
MEMORY_MB = 256
SERVE = IN_POD / "git_server.sh"
# Limit for all values together: https://kubernetes.io/docs/concepts/configuration/configmap/
CONFIG_MAP_BYTES = 1024 * 1024
SEED_BYTES = CONFIG_MAP_BYTES - SERVE.stat().st_size
# `make airflow` and `make compose` create these in dags-repo-example: secrets and task logs.
LOCAL_FILES = {".env"}
LOCAL_FOLDERS = {"__pycache__", "logs"}


def seed_files(folder: Path) -> dict[str, str]:
    """The text files of `folder` by relative path, without hidden and generated files."""
    files: dict[str, str] = {}
    for path in sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()):
        *folders, name = path.parts
        if name in LOCAL_FILES or any(f.startswith(".") or f in LOCAL_FOLDERS for f in folders):
            continue
        try:
            files[str(path)] = (folder / path).read_text()
        except UnicodeDecodeError:
            raise pulumi.RunError(
                f"{folder / path}: not a text file; git_server.seed accepts text files only: "
                "remove the file from the folder and push it later"
            ) from None
    size = sum(len(text.encode()) for text in files.values())
    if size > SEED_BYTES:
        raise pulumi.RunError(
            f"{folder}: {size} bytes of text files; git_server.seed accepts {SEED_BYTES}, which "
            "fit into a ConfigMap: remove files from the folder and push them later"
        )
    return files


@dataclass(frozen=True, kw_only=True)
class GitServerArgs:
    namespace: pulumi.Input[str]
    image: str
    branch: str
    settings: GitServerSettings
    pull_secret: pulumi.Input[str] | None = None
    storage_class: str | None = None


class GitServer(pulumi.ComponentResource):
    """Git server that only the relay reads; pushes go through `kubectl port-forward`."""

    def __init__(
        self, name: str, args: GitServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:GitServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        files = seed_files(Path(args.settings.seed))
        # Keys of a ConfigMap cannot contain a slash: the volume maps the keys to paths.
        keys = {f"file-{index}": path for index, path in enumerate(files)}
        seed = core.ConfigMap(
            f"{name}-seed",
            metadata=meta.ObjectMetaArgs(name=f"{name}-seed", namespace=args.namespace),
            data={"serve": SERVE.read_text(), **{key: files[path] for key, path in keys.items()}},
            opts=child,
        )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                pull_secret=args.pull_secret,
                storage_class=args.storage_class,
                image=args.image,
                command=["sh", "/serve/serve"],
                env=[core.EnvVarArgs(name="BRANCH", value=args.branch)],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/git",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_MB,
                ready=["git", "ls-remote", "--exit-code", "git://127.0.0.1/dags.git"],
                files={
                    "/seed": _keys(seed, keys),
                    "/serve": _keys(seed, {"serve": "serve"}),
                },
                clients=[network_peers.pods(dag_relay.LABELS)],
            ),
            opts=child,
        )
        self.register_outputs({})


def _keys(config: core.ConfigMap, paths: dict[str, str]) -> core.ConfigMapVolumeSourceArgs:
    """Volume with these keys of a ConfigMap at these paths."""
    return core.ConfigMapVolumeSourceArgs(
        name=config.metadata.name,
        items=[core.KeyToPathArgs(key=key, path=path) for key, path in paths.items()],
    )
