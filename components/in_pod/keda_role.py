"""Runs in the Job of keda_role.py: KEDA's user may log in, and reads what its query counts, nothing else."""

import os
import sys
import time
from contextlib import closing
from typing import Any
from urllib.parse import unquote, urlsplit

STATEMENT_TIMEOUT = "10s"
POLL_SECONDS = 2
CONNECT_SECONDS = 60


def main() -> None:
    import psycopg2  # pyright: ignore[reportMissingModuleSource] - Airflow's image has it

    airflow, keda = os.environ["AIRFLOW_CONNECTION"], os.environ["KEDA_CONNECTION"]
    role = urlsplit(keda).username or ""
    password = unquote(urlsplit(keda).password or "")
    with closing(connected(airflow.replace("+psycopg2", "", 1))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # The server gets a hash only: it logs statements that fail or take long.
            hashed = psycopg2.extensions.encrypt_password(
                password, role, connection, "scram-sha-256"
            )
            make(cursor, role, hashed, int(os.environ["CONNECTION_LIMIT"]))
            grant(cursor, role)
    # As KEDA will.
    with closing(connected(keda)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM task_instance WHERE state = 'running' AND queue = 'default'"
        )


def connected(url: str) -> Any:
    """Policies of the network admit a new pod some moments after it starts: until then it is refused."""
    import psycopg2  # pyright: ignore[reportMissingModuleSource]

    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg2.connect(url)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def make(cursor: Any, role: str, hashed: str, connection_limit: int) -> None:
    """With today's password. Where KEDA cannot log in it waits longer each time: so this comes first."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    if cursor.fetchone() is None:
        cursor.execute(f"CREATE ROLE {role}")
    cursor.execute(
        f"ALTER ROLE {role} LOGIN CONNECTION LIMIT {connection_limit} PASSWORD %s", (hashed,)
    )
    cursor.execute(f"ALTER ROLE {role} SET statement_timeout = '{STATEMENT_TIMEOUT}'")


def grant(cursor: Any, role: str) -> None:
    """As soon as Airflow's migrations have made the table. The Job says how long that may take."""
    sys.stderr.write("waiting for the table task_instance\n")
    while not _there(cursor):
        time.sleep(POLL_SECONDS)
    # Without what an earlier version of this granted; together they are one transaction.
    cursor.execute(
        f"REVOKE ALL ON task_instance FROM {role}; "
        f"GRANT SELECT (state, queue) ON task_instance TO {role}"
    )


def _there(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('task_instance')")
    return cursor.fetchone() != (None,)


if __name__ == "__main__":
    main()
