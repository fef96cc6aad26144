"""CloudWatch Logs: EKS and RDS make a missing log group when they write, without retention.

https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html
"""

from contextlib import ExitStack
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.eks.models import Cluster, EKSBackend
from moto.logs.models import logs_backends
from moto.rds.models import RDSBackend


def written_by_cluster(cluster: Cluster, backend: EKSBackend) -> None:
    settings = (cluster.logging or {}).get("clusterLogging", [])
    if any(setting["enabled"] and setting["types"] for setting in settings):
        _write(backend, f"/aws/eks/{cluster.name}/cluster")


def _written_by_instance(instance: Any, backend: RDSBackend) -> None:
    for log in instance.enabled_cloudwatch_logs_exports:
        _write(backend, f"/aws/rds/instance/{instance.db_instance_identifier}/{log}")


def _write(backend: Any, group: str) -> None:
    logs_backends[backend.account_id][backend.region_name].ensure_log_group(group)


def written_by_databases(patches: ExitStack) -> None:
    for operation in ("create_db_instance", "modify_db_instance", "delete_db_instance"):
        original = getattr(RDSBackend, operation)

        def written(backend: RDSBackend, *args: Any, _original: Any = original, **kw: Any) -> Any:
            instance = _original(backend, *args, **kw)
            _written_by_instance(instance, backend)
            return instance

        replacement = wraps(original)(written)
        patches.enter_context(patch.object(RDSBackend, operation, replacement))
