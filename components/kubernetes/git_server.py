"""A Git host in the cluster, for a stack that has none: seeded once, then written by `git push`."""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.airflow import dag_relay
from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support.hardened_pod import IN_POD
from settings.git_server import GitServerSettings

PORT = 9418
USER_ID = 50000  # `airflow` in the Airflow image, which has Git
MEMORY_MB = 256
SERVE = IN_POD / "git_server.sh"
# Of all values together: https://kubernetes.io/docs/concepts/configuration/configmap/
CONFIG_MAP_BYTES = 1024 * 1024
SEED_BYTES = CONFIG_MAP_BYTES - SERVE.stat().st_size
# `make airflow` and `make compose` make these in dags-repo-example: secrets, and logs of tasks.
LOCAL_FILES = {".env"}
LOCAL_FOLDERS = {"__pycache__", "logs"}


def seed_files(folder: Path) -> dict[str, str]:
    """The text files of `folder` by relative path, without what tools leave behind."""
    files: dict[str, str] = {}
    for path in sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()):
        *folders, name = path.parts
        if name in LOCAL_FILES or any(f.startswith(".") or f in LOCAL_FOLDERS for f in folders):
            continue
        try:
            files[str(path)] = (folder / path).read_text()
        except UnicodeDecodeError:
            raise pulumi.RunError(
                f"{folder / path}: is not text, and git_server.seed takes text only; push it instead"
            ) from None
    size = sum(len(text.encode()) for text in files.values())
    if size > SEED_BYTES:
        raise pulumi.RunError(
            f"{folder}: its text files have {size} bytes, and git_server.seed takes {SEED_BYTES}, what fits "
            "into a ConfigMap; start with less of it, and push the rest"
        )
    return files


@dataclass(frozen=True, kw_only=True)
class GitServerArgs:
    namespace: pulumi.Input[str]
    image: str
    branch: str
    settings: GitServerSettings


class GitServer(pulumi.ComponentResource):
    """The relay reads it; only `kubectl port-forward` writes it."""

    def __init__(
        self, name: str, args: GitServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:GitServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        files = seed_files(Path(args.settings.seed))
        keys = {f"file-{index}": path for index, path in enumerate(files)}
        # The keys of a ConfigMap cannot hold a slash: the volume puts the paths back.
        seed = k8s.core.v1.ConfigMap(
            f"{name}-seed",
            metadata={"name": f"{name}-seed", "namespace": args.namespace},
            data={"serve": SERVE.read_text(), **{key: files[path] for key, path in keys.items()}},
            opts=child,
        )
        items = [{"key": key, "path": path} for key, path in keys.items()]
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                image=args.image,
                command=["sh", "/serve/serve"],
                env=[{"name": "BRANCH", "value": args.branch}],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/git",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_MB,
                ready=["git", "ls-remote", "--exit-code", "git://127.0.0.1/dags.git"],
                files={
                    "/seed": {"config_map": {"name": seed.metadata.name, "items": items}},
                    "/serve": {
                        "config_map": {
                            "name": seed.metadata.name,
                            "items": [{"key": "serve", "path": "serve"}],
                        }
                    },
                },
                clients=[dag_relay.POD],
            ),
            opts=child,
        )
        self.register_outputs({})
