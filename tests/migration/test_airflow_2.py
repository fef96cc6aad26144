"""The commands of docs/migrate.md migrate a database of Airflow 2.11.2.

The dump has one DAG with three runs, two connections, two variables, two users and a pool.
"""

import re
import subprocess
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from ops import backup
from tests.unit.docs.documents import ROOT, lines

# Of the connections and variables in the dump.
FERNET_KEY = "gq4UlrR5_QKT3rwkVkuh8jqP2xfcfyWeAYUqYX-GGpg="
HEADING = "### Migrate the copy"
LOG = "output.txt"
SECONDS = 600


def commands():
    """The block of commands under the heading."""
    found = lines(ROOT / "docs/migrate.md")
    start = next(line.number for line in found if line.text == HEADING)
    blocks = [line.block for line in found if line.number > start and line.block is not None]
    return "\n".join(line.text for line in found if line.block == blocks[0])


@pytest.fixture(scope="module")
def migrated(work, owner):
    """The folder after the commands."""
    # A failed command must leave no server behind.
    stop = "pg_ctl --pgdata=$PGHOST/data --mode=immediate stop >/dev/null 2>&1 || true"
    script = f"set -euo pipefail\ntrap '{stop}' EXIT\n{commands()}"
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(work), "TMPDIR": str(work)}
    command = ["bash", "-c", script]
    with (work / LOG).open("w") as log:
        done = subprocess.run(
            command,
            cwd=work,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=SECONDS,
            **owner,
        )
    said = (work / LOG).read_text()
    assert done.returncode == 0, f"correct the block in docs/migrate.md:\n{said[-3000:]}"
    return work


@pytest.fixture(scope="module")
def rows(migrated):
    """Rows of a table, from the SQL that a stack loads."""
    text = (migrated / "migrated.sql").read_text()

    def read(table):
        copy = re.search(
            rf"^COPY public\.{table} \(([^)]*)\) FROM stdin;\n(.*?)^\\\.$", text, re.M | re.S
        )
        assert copy, f"the migrated database has no table {table}"
        columns = copy[1].replace('"', "").split(", ")
        return [dict(zip(columns, line.split("\t"), strict=True)) for line in copy[2].splitlines()]

    return read


def test_every_run_and_task_instance_is_kept(rows):
    kept = len(rows("dag_run")), len(rows("task_instance")), len(rows("xcom"))
    assert kept == (3, 12, 3), "docs/migrate.md promises all rows"
    assert {row["state"] for row in rows("task_instance")} == {"success", "failed"}


def test_the_old_fernet_key_decrypts_connections_and_variables(rows):
    encrypted = [row["password"] for row in rows("connection")]
    encrypted += [row["val"] for row in rows("variable")]
    plain = {Fernet(FERNET_KEY).decrypt(text.encode()).decode() for text in encrypted}
    assert plain == {"p@ss", "tok", "s3cr3t-token", "s3://company-data"}


def test_users_keep_their_passwords_and_roles(rows):
    before = (ROOT / "tests/migration/airflow-2.11.sql").read_text()
    users = {row["username"]: row["password"] for row in rows("ab_user")}
    assert users.keys() == {"admin", "alice"}
    assert all(password in before for password in users.values()), "the hashes stay the same"
    assert "analysts" in {row["name"] for row in rows("ab_role")}


def test_tables_of_users_are_migrated_too(rows):
    assert rows("alembic_version_fab"), "otherwise `airflow fab-db migrate` would be needed"


def test_no_dag_starts_by_itself(rows):
    assert {row["is_paused"] for row in rows("dag")} == {"t"}, "the old Airflow may still run them"


def test_make_restore_reads_stack_and_time_of_the_name(migrated):
    (dump,) = migrated.glob("local-*.dump")
    age = datetime.now(UTC) - backup.made(dump)
    assert 0 <= age.total_seconds() < SECONDS


def test_the_commands_leave_no_server_and_no_folder(migrated):
    assert "server stopped" in (migrated / LOG).read_text()
    left = [path for path in migrated.iterdir() if path.name.startswith("tmp")]
    assert left == [], "the last commands stop PostgreSQL and delete its folder"
