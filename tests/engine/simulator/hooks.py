"""Hooks that connect the account to real backends, at AWS's API: they apply to every client."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.eks.models import EKSBackend
from moto.rds.models import DBInstance, RDSBackend

from tests.engine.simulator.moto_backups import backups

# name -> address and certificate authority in base64
OnCluster = Callable[[str], tuple[str, str]]
# identifier, user name, password, database -> host name and port
OnInstance = Callable[[str, str, str, str], tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    on_cluster: OnCluster | None = None
    on_cluster_deleted: Callable[[str], None] | None = None
    on_instance: OnInstance | None = None
    on_instance_changed: Callable[[str, str], None] | None = None
    on_instance_deleted: Callable[[str], None] | None = None
    # snapshot or replicated backup, instance
    on_snapshot: Callable[[str, str], None] | None = None
    # instance, snapshot or replicated backup
    on_restored: Callable[[str, str], None] | None = None
    # instance, the instance of which it is a point in time
    on_copied: Callable[[str, str], None] | None = None

    def install(self, patches: ExitStack) -> None:
        create_cluster, delete_cluster = EKSBackend.create_cluster, EKSBackend.delete_cluster
        create_instance, modify_instance = (
            RDSBackend.create_db_instance,
            RDSBackend.modify_db_instance,
        )
        delete_instance = RDSBackend.delete_db_instance
        create_snapshot = RDSBackend.create_db_snapshot
        restore_snapshot = RDSBackend.restore_db_instance_from_db_snapshot
        restore_point = RDSBackend.restore_db_instance_to_point_in_time
        replicated: Any = RDSBackend
        stop_replication = replicated.stop_replication
        restore_replicated = replicated.restore_replicated_backup

        @wraps(create_cluster)
        def cluster_created(backend: EKSBackend, *args: Any, **kwargs: Any) -> Any:
            cluster = create_cluster(backend, *args, **kwargs)
            if self.on_cluster:
                cluster.endpoint, authority = self.on_cluster(cluster.name)
                cluster.certificate_authority = {"data": authority}
            return cluster

        @wraps(delete_cluster)
        def cluster_deleted(backend: EKSBackend, *args: Any, **kwargs: Any) -> Any:
            cluster = delete_cluster(backend, *args, **kwargs)
            if self.on_cluster_deleted:
                self.on_cluster_deleted(cluster.name)
            return cluster

        @wraps(create_instance)
        def instance_created(backend: RDSBackend, db_kwargs: dict[str, Any]) -> Any:
            given = dict(db_kwargs)
            instance = create_instance(backend, db_kwargs)
            if self.on_instance:
                # A real instance has no address during its creation.
                instance.real_address = self.on_instance(
                    instance.db_instance_identifier,
                    given["master_username"],
                    given["master_user_password"],
                    given.get("db_name") or "postgres",
                )
            return instance

        @wraps(modify_instance)
        def instance_changed(
            backend: RDSBackend, identifier: str, db_kwargs: dict[str, Any]
        ) -> Any:
            password = db_kwargs.get("master_user_password")
            instance = modify_instance(backend, identifier, db_kwargs)
            if password and self.on_instance_changed:
                self.on_instance_changed(instance.db_instance_identifier, password)
            return instance

        @wraps(delete_instance)
        def instance_deleted(backend: RDSBackend, *args: Any, **kwargs: Any) -> Any:
            instance = delete_instance(backend, *args, **kwargs)
            if self.on_instance_deleted:
                self.on_instance_deleted(instance.db_instance_identifier)
            return instance

        @wraps(create_snapshot)
        def snapshot_created(backend: RDSBackend, *args: Any, **kwargs: Any) -> Any:
            snapshot = create_snapshot(backend, *args, **kwargs)
            # Moto makes the first automated one before the server of the instance runs.
            if self.on_snapshot and snapshot.snapshot_type == "manual":
                self.on_snapshot(snapshot.db_snapshot_identifier, snapshot.db_instance_identifier)
            return snapshot

        @wraps(restore_snapshot)
        def snapshot_restored(backend: RDSBackend, source: str, overrides: dict[str, Any]) -> Any:
            instance = restore_snapshot(backend, source, overrides)
            if self.on_restored:
                name = source.rpartition(":snapshot:")[2]
                self.on_restored(instance.db_instance_identifier, name)
            return instance

        @wraps(restore_point)
        def point_restored(backend: RDSBackend, source: str, *args: Any, **kwargs: Any) -> Any:
            instance = restore_point(backend, source, *args, **kwargs)
            if self.on_copied:
                self.on_copied(instance.db_instance_identifier, source)
            return instance

        @wraps(stop_replication)
        def replication_stopped(backend: RDSBackend, source_arn: str) -> Any:
            backup = stop_replication(backend, source_arn)
            if self.on_snapshot:
                self.on_snapshot(backup.arn, backup.instance.db_instance_identifier)
            return backup

        @wraps(restore_replicated)
        def replicated_restored(backend: RDSBackend, arn: str, *args: Any, **kwargs: Any) -> Any:
            instance = restore_replicated(backend, arn, *args, **kwargs)
            backup = backups(backend)[arn]
            if backup.ended and self.on_restored:
                self.on_restored(instance.db_instance_identifier, arn)
            if not backup.ended and self.on_copied:
                source = backup.instance.db_instance_identifier
                self.on_copied(instance.db_instance_identifier, source)
            return instance

        for backend, name, replacement in (
            (EKSBackend, "create_cluster", cluster_created),
            (EKSBackend, "delete_cluster", cluster_deleted),
            (RDSBackend, "create_db_instance", instance_created),
            (RDSBackend, "modify_db_instance", instance_changed),
            (RDSBackend, "delete_db_instance", instance_deleted),
            (RDSBackend, "create_db_snapshot", snapshot_created),
            (RDSBackend, "restore_db_instance_from_db_snapshot", snapshot_restored),
            (RDSBackend, "restore_db_instance_to_point_in_time", point_restored),
            (RDSBackend, "stop_replication", replication_stopped),
            (RDSBackend, "restore_replicated_backup", replicated_restored),
        ):
            patches.enter_context(patch.object(backend, name, replacement))
        patches.enter_context(patch.object(DBInstance, "address", property(_address)))


def _address(instance: DBInstance) -> str:
    real = getattr(instance, "real_address", None)
    if real:
        return real[0]
    identifier = instance.db_instance_identifier
    return f"{identifier}.aaaaaaaaaa.{instance.region}.rds.amazonaws.com"
