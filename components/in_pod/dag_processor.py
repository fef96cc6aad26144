"""Entrypoint of the DAG processors: one processes the DAGs, the others wait, ready to take over.

A file whose parser was killed gets an import error.

Two at once end each other: https://github.com/apache/airflow/issues/68263. A lock in PostgreSQL
admits one; it ends with the connection: docs/adr/0022-one-dag-processor-works.md
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
# The Airflow image contains the missing packages.

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

LOCK = 31972  # arbitrary; the locks of Airflow have the numbers 1 and 2
POLL_SECONDS = 1
# Exists while this pod waits; the liveness probe in values/airflow.yaml reads it.
WAITING = Path("/tmp/dag-processor-waits")  # noqa: S108
LIMITS = [
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
]
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
    report_killed_parsers()
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    cursor = wait_for_turn(url)
    threading.Thread(target=watch, args=(cursor,), daemon=True).start()
    sys.argv = ["airflow", "dag-processor"]
    airflow()


def report_killed_parsers() -> None:
    """Store an import error for a file whose parser was killed or timed out.

    Airflow only counts these: its author would see a DAG that does not appear.
    """
    from airflow.dag_processing import manager

    processor = manager.DagFileProcessorManager
    collect, kill_late = processor._collect_results, processor._kill_timed_out_processors

    def collect_results(self: Any, *args: Any, **named: Any) -> None:
        for file, parser in self._processors.items():
            if is_killed(parser):
                parser.parsing_result = failed(file, cause(parser._exit_code))
        collect(self, *args, **named)

    def kill_timed_out_processors(self: Any) -> None:
        parsers = dict(self._processors)
        kill_late(self)
        limit = f"{self.processor_timeout:g} s ([dag_processor] dag_file_processor_timeout)"
        for file in parsers.keys() - self._processors.keys():
            parsers[file].parsing_result = failed(file, f"it was not parsed after {limit}")
            store(self, file, parsers[file])

    processor._collect_results = collect_results
    processor._kill_timed_out_processors = kill_timed_out_processors


def store(processor: Any, file: Any, parser: Any) -> None:
    """Store the result of a parser that Airflow no longer collects."""
    if hasattr(processor, "handle_parsing_result"):
        processor.handle_parsing_result(file, parser)
        return
    # Airflow 3.2
    from airflow.dag_processing.manager import process_parse_results
    from airflow.utils.session import create_session

    with create_session() as session:
        process_parse_results(
            run_duration=processor.processor_timeout,
            finish_time=datetime.now(UTC),
            run_count=processor._file_stats[file].run_count,
            bundle_name=file.bundle_name,
            bundle_version=processor._bundle_versions[file.bundle_name],
            parsing_result=parser.parsing_result,
            session=session,
            relative_fileloc=str(file.rel_path),
        )


def is_killed(parser: Any) -> bool:
    """Whether a parser ended without a result, but not because this pod stops."""
    if not parser.is_ready or parser.parsing_result is not None or parser.had_callbacks:
        return False
    return parser._exit_code not in (-signal.SIGTERM, -signal.SIGINT)


def failed(file: Any, reason: str) -> Any:
    """Result of a parser that has none."""
    from airflow.dag_processing.processor import DagFileParsingResult

    error = f"{file.rel_path} has no DAGs: {reason}"
    return DagFileParsingResult(
        fileloc=str(file.absolute_path),
        serialized_dags=[],
        import_errors={str(file.rel_path): error},
    )


def cause(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        limit = memory_limit_mb()
        return (
            "its parser was killed, probably because the DAG processor has no more memory"
            f"{f' (limit {limit} MiB)' if limit else ''}. Load data in tasks, not at import"
        )
    if exit_code is not None and exit_code < 0:
        return f"its parser was ended by {signal.Signals(-exit_code).name}, as by a native library"
    return f"its parser ended with exit code {exit_code}, as after os._exit(). Let errors raise exceptions"


def memory_limit_mb() -> int | None:
    """Of this container, with cgroup v2 or v1."""
    for path in LIMITS:
        if path.exists() and (text := path.read_text().strip()).isdigit():
            return int(text) // 2**20
    return None


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
