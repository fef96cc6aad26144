"""The user of PostgreSQL that KEDA logs in as: it reads two columns of one table."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.keda import CA_PATH
from components.named_secret import NamedSecret
from components.namespace import PART_OF, PODS_OF_AIRFLOW

SCRIPT = Path(__file__).with_name("keda_role_script.py")
USER_ID = 50000  # `airflow` in the Airflow image, which has PostgreSQL's driver
MEMORY_MB = 128
# A node, the image, the first migration: as long as Helm waits for them.
WAIT_SECONDS = 1200


@dataclass(frozen=True, kw_only=True)
class KedaRoleArgs:
    """`metadata` and `keda` have the connections of Airflow and of KEDA.

    `database_ca` names the ConfigMap with the certificates of the database; None: it speaks no TLS.
    """

    namespace: pulumi.Input[str]
    image: str
    metadata: NamedSecret
    keda: NamedSecret
    connection_limit: int
    database_ca: str | None


class KedaRole(pulumi.ComponentResource):
    """Up when KEDA can log in and count. It works beside the release, whose first migration it waits for."""

    def __init__(
        self, name: str, args: KedaRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:KedaRole", name, None, opts)

        pod = _pod(args)
        # The database admits pods of Airflow.
        labels = {**PART_OF, **PODS_OF_AIRFLOW, "component": "keda-role"}
        spec: Any = {
            "active_deadline_seconds": WAIT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        wait = f"{WAIT_SECONDS}s"
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata={
                # A Job cannot change and does its work once: what it depends on is in its name.
                "name": args.keda.checksum.apply(
                    lambda checksum: f"{name}-{_digest(pod, checksum)}"
                ),
                "namespace": args.namespace,
                "labels": PART_OF,
            },
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create=wait, update=wait)
            ),
        )
        self.register_outputs({})


def _pod(args: KedaRoleArgs) -> dict[str, Any]:
    def connection(variable: str, secret: NamedSecret) -> dict[str, Any]:
        reference = {"name": secret.name, "key": "connection"}
        return {"name": variable, "value_from": {"secret_key_ref": reference}}

    container: dict[str, Any] = {
        "name": "keda-role",
        "image": args.image,
        "image_pull_policy": "IfNotPresent",
        "command": ["python", "-c", SCRIPT.read_text()],
        "env": [
            connection("AIRFLOW_CONNECTION", args.metadata),
            connection("KEDA_CONNECTION", args.keda),
            {"name": "CONNECTION_LIMIT", "value": str(args.connection_limit)},
        ],
        "resources": {
            "requests": {"cpu": "50m", "memory": f"{MEMORY_MB}Mi"},
            "limits": {"memory": f"{MEMORY_MB}Mi"},
        },
        "security_context": {
            "allow_privilege_escalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod: dict[str, Any] = {
        # Each attempt leaves its pod, and so its log.
        "restart_policy": "Never",
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER_ID,
            "run_as_group": 0,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if args.database_ca is not None:
        container["volume_mounts"] = [{"name": "ca", "mount_path": CA_PATH, "read_only": True}]
        pod["volumes"] = [{"name": "ca", "config_map": {"name": args.database_ca}}]
    return pod


def _digest(pod: dict[str, Any], checksum: str) -> str:
    text = json.dumps([pod, checksum], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
