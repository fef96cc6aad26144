"""`make drill`: restores the newest backup into a copy, checks the copy, and deletes it.

The stack stays as it is. The copy is a database beside the one in the container, or an RDS instance.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.support.database_login import NAME
from ops import backup, generations, rds
from ops.access import reachable
from ops.exclusive import exclusive
from ops.kubernetes import Kubernetes, answer
from ops.restore import ENCRYPTED, step
from ops.session import Session
from ops.shell import OperationError
from ops.versions import check_finished, open_deployed
from settings.database import ContainerDatabaseSettings, drill_identifier

# Of a container; a restore at the same time uses another one.
DATABASE = f"{NAME}_drill"
# With the rows of a large database counted.
CHECK_SECONDS = 600
ANSWER = "copy: "
# The first lines of a program whose database is the copy.
POINT_AT_COPY = """
import os

from sqlalchemy.engine import make_url

for name, url in os.environ.items():
    if name.endswith(("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC")):
        copy = make_url(url).set(**{address!r})
        os.environ[name] = copy.render_as_string(hide_password=False)
"""
# Runs in the pod of the API server.
CHECK = """
import json

from airflow.models.crypto import get_fernet
from airflow.utils.db import check_migrations
from airflow.utils.session import create_session
from sqlalchemy import text

check_migrations(1)
with create_session() as session:
    rows = {{
        table: session.scalar(text(f"SELECT count(*) FROM {{table}}"))
        for table in ("dag", "dag_run", "task_instance", "connection", "variable")
    }}
    encrypted = session.scalar(text({encrypted!r}))
if encrypted is not None:
    get_fernet().decrypt(encrypted.encode())
print("copy: " + json.dumps({{"rows": rows, "decrypted": encrypted is not None}}))
"""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A restored backup. `address`: in what its URL differs from that of the present database."""

    address: Mapping[str, str]
    made: datetime

    def program(self, text: str, **values: str) -> str:
        """Python for a pod of Airflow, whose database is the copy. `values` fill the text."""
        return (POINT_AT_COPY + text).format(address=dict(self.address), **values)


def drill(name: str, caller: str | None = None) -> int:
    """Prove that the newest backup of a stack is usable. Raises `OperationError` if it is not."""
    session, cluster, version = open_deployed(name)
    check_finished(name)
    generations.check_ended(name)
    with reachable(session, caller) as session, exclusive(cluster, "make drill"):
        now, start = datetime.now(UTC), time.monotonic()
        with _newest(session, cluster, version) as copy:
            with step(f"check the copy with Airflow {version}"):
                found = _check(cluster, copy)
            took = timedelta(seconds=round(time.monotonic() - start))
    rows = ", ".join(f"{table} {count}" for table, count in found["rows"].items())
    decrypts = "decrypts" if found["decrypted"] else "not tried: nothing in the backup is encrypted"
    # The clocks of AWS and of this machine may differ.
    age = timedelta(seconds=max(0, round((now - copy.made).total_seconds())))
    print(
        f"\nThe backup of {copy.made:%Y-%m-%d %H:%M:%S} UTC is usable:\n"
        f"  schema      that of Airflow {version}\n"
        f"  rows        {rows}\n"
        f"  Fernet key  {decrypts}\n"
        f"  RPO         {age}   age of the backup: what began later would be lost\n"
        f"  RTO         {took}   restore and check; `make restore` also updates the stack"
    )
    return 0


@contextmanager
def _newest(session: Session, cluster: Kubernetes, version: str) -> Generator[Copy]:
    """The newest backup of `version`, restored beside the database until the context ends."""
    if isinstance(session.settings.database, ContainerDatabaseSettings):
        with (
            backup.newest_dump(cluster, session.stack.name, version) as dump,
            of_dump(cluster, dump) as copy,
        ):
            yield copy
    else:
        with of_instance(session) as copy:
            yield copy


@contextmanager
def of_dump(cluster: Kubernetes, dump: Path) -> Generator[Copy]:
    """A dump, restored beside the present database until the context ends."""
    try:
        with step(f"restore {dump.name} as the database {DATABASE}"):
            backup.load(cluster, dump, DATABASE)
        yield Copy(address={"database": DATABASE}, made=backup.made(dump))
    finally:
        with step(f"delete {DATABASE}"):
            backup.drop(cluster, DATABASE)


@contextmanager
def of_instance(session: Session) -> Generator[Copy]:
    """The latest point in time of the automated backups of RDS, as another instance."""
    instance, account = rds.own(session)
    if "LatestRestorableTime" not in instance:
        raise OperationError("AWS has no automated backup of the database")
    source = instance["DBInstanceIdentifier"]
    copy = drill_identifier(source)
    # What a killed drill has left.
    rds.delete_copy(account, source)
    try:
        with step(f"restore the latest point in time of {source} as {copy}"):
            groups = [group["VpcSecurityGroupId"] for group in instance["VpcSecurityGroups"]]
            account.call(
                *("rds", "restore-db-instance-to-point-in-time", "--use-latest-restorable-time"),
                *("--source-db-instance-identifier", source),
                *("--target-db-instance-identifier", copy),
                *("--db-subnet-group-name", instance["DBSubnetGroup"]["DBSubnetGroupName"]),
                *("--vpc-security-group-ids", *groups),
                *("--no-multi-az", "--no-publicly-accessible", "--no-deletion-protection"),
                *("--tags", *account.tag_arguments()),
            )
            account.wait("rds", "db-instance-available", "--db-instance-identifier", copy)
            words = ["describe-db-instances", "--db-instance-identifier", copy]
            (made,) = account.call("rds", *words)["DBInstances"]
        yield Copy(
            address={"host": made["Endpoint"]["Address"]},
            made=datetime.fromisoformat(instance["LatestRestorableTime"]),
        )
    finally:
        with step(f"delete {copy}"):
            rds.delete_copy(account, source)


def _check(cluster: Kubernetes, copy: Copy) -> Mapping[str, Mapping[str, int]]:
    program = copy.program(CHECK, encrypted=ENCRYPTED)
    done = cluster.run_in_airflow(program, seconds=CHECK_SECONDS)
    found = answer(done, ANSWER)
    if found is None:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        if "InvalidToken" in reason:
            reason = "the Fernet key of the stack does not decrypt it"
        raise OperationError(f"the backup is not usable: {reason}. docs/runbooks/backup.md")
    return found
