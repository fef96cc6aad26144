"""Program of the Job in components/airflow/keda_role.py: creates KEDA's PostgreSQL role.

The role may log in and read the two columns that KEDA's query counts. On an existing server whose
user may not create roles, an administrator has created it: docs/clusters.md.
"""

import os
import sys
import time
from contextlib import closing
from typing import Any
from urllib.parse import unquote, urlsplit

STATEMENT_TIMEOUT = "10s"
POLL_SECONDS = 2
CONNECT_SECONDS = 60
NO_ROLE = """\
the role {role} does not exist, and the database user of Airflow may not create it. As administrator:
  CREATE ROLE "{role}" LOGIN CONNECTION LIMIT {limit} PASSWORD '...';
and set the same password as Pulumi secret keda_password. See docs/clusters.md"""


def main() -> None:
    import psycopg2  # pyright: ignore[reportMissingModuleSource] - in the Airflow image

    airflow, keda = os.environ["AIRFLOW_CONNECTION"], os.environ["KEDA_CONNECTION"]
    role = urlsplit(keda).username or ""
    password = unquote(urlsplit(keda).password or "")
    with closing(connect(airflow.replace("+psycopg2", "", 1))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # Send only a hash: the server logs statements that fail or are slow.
            hashed = psycopg2.extensions.encrypt_password(
                password, role, connection, "scram-sha-256"
            )
            limit = int(os.environ["CONNECTION_LIMIT"])
            if may_create_roles(cursor):
                create_or_update(cursor, role, hashed, limit)
            elif not exists(cursor, role):
                sys.exit(NO_ROLE.format(role=role, limit=limit))
            grant(cursor, role)
    # Verify: log in and count as KEDA does.
    with closing(connect(keda)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM task_instance WHERE state = 'running' AND queue = 'default'"
        )


def connect(url: str) -> Any:
    """Connect, with retries: NetworkPolicies admit a new pod only moments after it starts."""
    import psycopg2  # pyright: ignore[reportMissingModuleSource]

    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg2.connect(url)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def may_create_roles(cursor: Any) -> bool:
    cursor.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolcreaterole OR rolsuper)"
    )
    return cursor.fetchone() is not None


def exists(cursor: Any, role: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    return cursor.fetchone() is not None


def create_or_update(cursor: Any, role: str, hashed: str, connection_limit: int) -> None:
    """Create the role, or set its current password and limits.

    Runs before the grants, because KEDA backs off exponentially while it cannot log in.
    """
    if not exists(cursor, role):
        cursor.execute(f'CREATE ROLE "{role}"')
    cursor.execute(
        f'ALTER ROLE "{role}" LOGIN CONNECTION LIMIT {connection_limit} PASSWORD %s', (hashed,)
    )
    cursor.execute(f"ALTER ROLE \"{role}\" SET statement_timeout = '{STATEMENT_TIMEOUT}'")


def grant(cursor: Any, role: str) -> None:
    """Grant access as soon as Airflow's migrations have created the table.

    The deadline is the Job's.
    """
    sys.stderr.write("waiting for the table task_instance\n")
    while not _table_exists(cursor):
        time.sleep(POLL_SECONDS)
    # Revoke the grants of earlier versions, in the same transaction.
    cursor.execute(
        f'REVOKE ALL ON task_instance FROM "{role}"; '
        f'GRANT SELECT (state, queue) ON task_instance TO "{role}"'
    )


def _table_exists(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('task_instance')")
    return cursor.fetchone() != (None,)


if __name__ == "__main__":
    main()
