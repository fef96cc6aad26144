"""Program of the weekly job `airflow-database-cleanup`: deletes old rows of the metadata database.

`airflow db clean` selects rows by age only, and ends at the first one that a younger row refers to:
https://github.com/apache/airflow/issues/56192 and https://github.com/apache/airflow/issues/71864
"""

# pyright: reportMissingImports=false
# The Airflow image contains the missing packages.

import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

BATCH = 10_000
# Small: for each version PostgreSQL searches all task instances, which have no index for it.
VERSION_BATCH = 100

# Tables that `airflow db clean` does not clean here. The triggerer itself deletes unused triggers; the
# deletion of a used one ends asset watchers and deferred tasks, or violates a foreign key.
EXCLUDED = {"dag", "dag_version", "trigger"}

# DAGs that were removed from Git before the cutoff. Without `is_stale`, a platform that was off for
# longer would lose all its DAGs, and with them which of them are paused.
_REMOVED = "SELECT dag_id FROM dag WHERE is_stale AND last_parsed_time < :before"
# In this order: task instances refer to versions of DAGs.
STATEMENTS = {
    # `airflow db clean` keeps the last scheduled run of a DAG, and runs that never started.
    "dag_run of removed DAGs": f"""
        DELETE FROM dag_run WHERE id IN (
            SELECT id FROM dag_run WHERE dag_id IN ({_REMOVED}) AND run_after < :before LIMIT :batch)
    """,  # noqa: S608
    "dag": f"""
        DELETE FROM dag WHERE dag_id IN (
            SELECT dag_id FROM ({_REMOVED}) removed WHERE NOT EXISTS (
                SELECT FROM dag_version v JOIN task_instance t ON t.dag_version_id = v.id
                WHERE v.dag_id = removed.dag_id)
            LIMIT :batch)
    """,  # noqa: S608
    "dag_version": """
        DELETE FROM dag_version WHERE id IN (
            SELECT id FROM dag_version v
            WHERE created_at < :before
            AND version_number < (SELECT max(version_number) FROM dag_version WHERE dag_id = v.dag_id)
            AND NOT EXISTS (SELECT FROM task_instance WHERE dag_version_id = v.id)
            AND NOT EXISTS (SELECT FROM task_instance_history WHERE dag_version_id = v.id)
            AND NOT EXISTS (SELECT FROM dag_run WHERE created_dag_version_id = v.id)
            LIMIT :batch)
    """,
}


def main() -> None:
    before = datetime.now(UTC) - timedelta(days=int(sys.argv[1]))
    failed = clean(steps(before))
    report(len(failed))
    if failed:
        sys.exit(f"not cleaned: {', '.join(failed)}")


def steps(before: datetime) -> dict[str, Callable[[], None]]:
    """What cleans a table, by table: dependent tables first."""
    from airflow.utils.db_cleanup import config_dict, run_cleanup

    def airflow_cleans(table: str) -> None:
        # With each table it first cleans those that depend on it.
        run_cleanup(
            clean_before_timestamp=before,
            table_names=[table],
            confirm=False,
            skip_archive=True,
            batch_size=BATCH,
            error_on_cleanup_failure=True,
        )

    by_airflow = {t: partial(airflow_cleans, t) for t in sorted(set(config_dict) - EXCLUDED)}
    return by_airflow | {table: partial(delete, table, before) for table in STATEMENTS}


def clean(steps: dict[str, Callable[[], None]]) -> list[str]:
    """Run all steps, also after a failed one; the failed ones."""
    failed: list[str] = []
    for table, step in steps.items():
        try:
            step()
        except Exception:
            traceback.print_exc()
            failed.append(table)
    return failed


def delete(table: str, before: datetime) -> None:
    """Run a statement in batches, each in its own transaction."""
    from airflow.utils.session import create_session
    from sqlalchemy import text

    values: dict[str, Any] = {"before": before, "batch": VERSION_BATCH}
    rows = 0
    deleted = VERSION_BATCH
    while deleted == VERSION_BATCH:
        with create_session() as session:
            deleted = session.execute(text(STATEMENTS[table]), values).rowcount
        rows += deleted
    sys.stdout.write(f"Deleted {rows} rows: {table}\n")


def report(failed_tables: int) -> None:
    """Export the result as a metric: docs/operations.md lists the alerts."""
    from airflow.configuration import conf

    if conf.getboolean("metrics", "statsd_on"):
        from statsd import StatsClient

        server = conf.get("metrics", "statsd_host"), conf.getint("metrics", "statsd_port")
        StatsClient(*server, prefix="airflow").gauge(
            "database_cleanup.failed_tables", failed_tables
        )


if __name__ == "__main__":
    main()
