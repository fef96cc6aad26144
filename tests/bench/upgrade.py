"""`make upgrade` with its rehearsal, and `make rollback`, by step, with a history of DAG runs.

The stack local goes from the former version of Airflow to the default one, twice: the second time
with the long history. Figures are seconds of wall time. Limit: ten minutes without scheduling.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from settings.versions import AIRFLOW, AIRFLOW_VERSIONS
from tests.bench.figures import show_one, status, step
from tests.harness.checkout import Checkout
from tests.harness.cluster import Cluster

FORMER = next(iter(AIRFLOW_VERSIONS))
STEP = re.compile(r"^== (?P<what>.*)$(?:\n(?!==).*)*?\n {3}(?P<seconds>\d+) s$", re.MULTILINE)
MIGRATION = re.compile(r"^Migration: (\d+) s\. Database: (\d+) MB before, (\d+) MB after", re.M)
STOPPED = re.compile(r"^No task was scheduled for (\d+) s", re.MULTILINE)
TASKS_OF_RUN = 50
HISTORY = """
BEGIN;
INSERT INTO dag_bundle (name, active) VALUES ('dags-folder', true) ON CONFLICT DO NOTHING;
INSERT INTO dag (dag_id, is_paused, is_stale, bundle_name, timetable_type, max_active_tasks,
                 max_consecutive_failed_dag_runs, has_task_concurrency_limits)
VALUES ('history', true, true, 'dags-folder', 'airflow.timetables.trigger.CronTriggerTimetable', 16,
        0, false) ON CONFLICT DO NOTHING;
INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)
VALUES (md5('history')::uuid, 1, 'history', 'dags-folder', now(), now()) ON CONFLICT DO NOTHING;
INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, logical_date, start_date, end_date,
                     created_dag_version_id)
SELECT 'history', 'scheduled__' || n, 'scheduled', 'success', at, at, at, at, md5('history')::uuid
FROM generate_series({first}, {last}) n, LATERAL (SELECT now() - n * interval '1 hour') made (at);
INSERT INTO task_instance (id, dag_id, task_id, run_id, start_date, end_date, state, try_number, pool,
                           pool_slots, queue, dag_version_id)
SELECT gen_random_uuid(), 'history', 'task_' || t, 'scheduled__' || n, now(), now(), 'success', 1,
       'default_pool', 1, 'default', md5('history')::uuid
FROM generate_series({first}, {last}) n, generate_series(1, {tasks}) t;
COMMIT;
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-upgrade", description=__doc__)
    parser.add_argument("--charts", type=Path, required=True, help="directory with airflow-*.tgz")
    parser.add_argument("--short", type=int, default=10_000, help="task instances at first")
    parser.add_argument("--long", type=int, default=1_000_000, help="task instances afterwards")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy(Path(folder), arguments.charts.resolve())
        checkout.change("local", airflow={"version": FORMER})
        try:
            checkout.up()
            short, long = (number // TASKS_OF_RUN for number in (arguments.short, arguments.long))
            measure(checkout, 1, short)
            for what, seconds in steps(checkout.done("rollback", "YES=1")):
                show_one(what, seconds)
            measure(checkout, short + 1, long)
        finally:
            exit_code, output = checkout.make("down")
    if exit_code:
        raise RuntimeError(output)
    return status()


def measure(checkout: Checkout, first: int, last: int) -> None:
    """Add DAG runs to the history, `first` to `last`, upgrade, and print the steps."""
    step(f"{last * TASKS_OF_RUN:,} task instances of {last:,} DAG runs, {FORMER} to {AIRFLOW}")
    history = HISTORY.format(first=first, last=last, tasks=TASKS_OF_RUN)
    psql = ["exec", "-i", "database-0", "--", "psql", "-q", "-v", "ON_ERROR_STOP=1"]
    Cluster.of_local_stack().kubectl(
        "-n", "airflow", *psql, "-U", "airflow", "airflow", stdin=history
    )
    output = checkout.done("upgrade", f"VERSION={AIRFLOW}", "REHEARSAL=yes")
    for what, seconds in steps(output):
        show_one(what, seconds)
    migration, before, after = (float(figure) for figure in MIGRATION.findall(output)[0])
    show_one("migration of the copy", migration)
    show_one("database before, MB", before)
    show_one("database after, MB", after)
    show_one("without scheduling", float(STOPPED.findall(output)[0]), "600")


def steps(output: str) -> Iterator[tuple[str, float]]:
    """The steps that a command prints, each with its seconds."""
    for found in STEP.finditer(output):
        yield found["what"], float(found["seconds"])


if __name__ == "__main__":
    sys.exit(main())
