"""Entrypoint of the DAG processors: one processes the DAGs, the others wait, ready to take over.

Two at once end each other: https://github.com/apache/airflow/issues/68263. A lock in PostgreSQL
admits one; it ends with the connection: docs/adr/0022-one-dag-processor-works.md
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
# The Airflow image contains the missing packages.

import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

LOCK = 31972  # arbitrary; the locks of Airflow have the numbers 1 and 2
POLL_SECONDS = 1
# Exists while this pod waits; the liveness probe in values/airflow.yaml reads it.
WAITING = Path("/tmp/dag-processor-waits")  # noqa: S108
# Both sides give up a connection whose other side is gone, for example after the loss of a node,
# within seven seconds: https://www.postgresql.org/docs/current/runtime-config-connection.html
CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 7000,
    "options": "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2",
}


def main() -> None:
    # Imported before the wait: a successor needs no time for it.
    from airflow.__main__ import main as airflow

    import_module("airflow.cli.commands.dag_processor_command")
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    cursor = wait_for_turn(url)
    threading.Thread(target=watch, args=(cursor,), daemon=True).start()
    sys.argv = ["airflow", "dag-processor"]
    airflow()


def wait_for_turn(url: str) -> Any:
    """Wait until no other pod processes the DAGs; the cursor of the connection with the lock."""
    import psycopg2

    cursor = None
    while True:
        try:
            if cursor is None:
                connection = psycopg2.connect(url, **CONNECTION)
                connection.autocommit = True
                cursor = connection.cursor()
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
            if cursor.fetchone() == (True,):
                WAITING.unlink(missing_ok=True)
                return cursor
        except psycopg2.Error as error:  # the database restarts
            sys.stderr.write(f"{error}\n")
            cursor = None
        WAITING.touch()
        time.sleep(POLL_SECONDS)


def watch(cursor: Any) -> None:
    """End this process as soon as it may no longer have the lock."""
    try:
        while True:
            cursor.execute("SELECT 1")
            time.sleep(POLL_SECONDS)
    finally:
        sys.stderr.write("lost the connection with the lock of the DAG processors\n")
        os._exit(1)


if __name__ == "__main__":
    main()
