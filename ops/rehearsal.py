"""The rehearsal of `make upgrade`: migrates a copy of the database with the new version of Airflow.

The stack stays as it is, also if the migration fails.
"""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops import backup, drift, update_watch
from ops.drill import Copy, of_dump, of_instance
from ops.kubernetes import MIGRATION, Kubernetes, answer
from ops.restore import step
from ops.session import Session
from ops.shell import OperationError, attempt, output
from settings.airflow import AirflowSettings
from settings.database import ContainerDatabaseSettings
from settings.images import pinned

JOB = "airflow-rehearsal"
# With new indexes on the tables of a large database.
SECONDS = 2 * 3600
POLL_SECONDS = 3
# As the last lines of a failed migration: an exception and what led to it.
LINES = 10
ANSWER = "rehearsal: "
# Runs in a pod of the new version.
MIGRATE = """
import json
import subprocess
import sys
import time

from sqlalchemy import create_engine, text


def megabytes():
    engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as connection:
        size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    return round(size / 2**20)


# A NetworkPolicy admits a new pod only after some seconds.
if subprocess.call(["airflow", "db", "check", "--retry", "30", "--retry-delay", "2"]):
    sys.exit(1)
before, start = megabytes(), time.monotonic()
if subprocess.call(["airflow", "db", "migrate"]):
    sys.exit(1)
found = dict(seconds=round(time.monotonic() - start), before=before, after=megabytes())
print("rehearsal: " + json.dumps(found))
"""


def rehearse(session: Session, cluster: Kubernetes, before: str) -> None:
    """Migrate a copy of the database to the version of the stack file, and print time and size.

    `before` is the deployed version. Raises `OperationError` if the migration fails.
    """
    airflow = session.settings.airflow
    what = f"rehearsal: migrate the copy to Airflow {airflow.version}"
    with _copy(session, cluster, before) as copy, step(what):
        found = _migrate(cluster, airflow, copy)
    print(
        f"Migration: {found['seconds']} s. Database: {found['before']} MB before, {found['after']} MB after"
    )


@contextmanager
def _copy(session: Session, cluster: Kubernetes, version: str) -> Generator[Copy]:
    if not isinstance(session.settings.database, ContainerDatabaseSettings):
        with of_instance(session) as copy:
            yield copy
        return
    with step("rehearsal: dump the database"):
        dump = Path(backup.make(session, cluster, version))
    with of_dump(cluster, dump) as copy:
        yield copy
    dump.unlink()


def _migrate(cluster: Kubernetes, airflow: AirflowSettings, copy: Copy) -> Mapping[str, int]:
    _delete(cluster)
    try:
        words = ["apply", "--namespace", cluster.namespace, "--filename=-"]
        job = json.dumps(_job(cluster, airflow, copy))
        output(cluster.command(*words), seconds=60, stdin=job)
        _wait(cluster)
        where = ["--namespace", cluster.namespace, f"job/{JOB}"]
        logs = attempt(cluster.command("logs", *where), seconds=60)
        found = answer(logs, ANSWER)
    finally:
        _delete(cluster)
    if found is None:
        lines = "\n".join((logs.stdout + logs.stderr).strip().splitlines()[-LINES:])
        raise OperationError(
            f"the migration of a copy of the database to Airflow {airflow.version} failed, and nothing "
            f"was changed:\n{lines}"
        )
    return found


def _job(cluster: Kubernetes, airflow: AirflowSettings, copy: Copy) -> dict[str, Any]:
    """The Job of the release that migrates, with another image, program and name."""
    (job,) = [
        found
        for found in drift.release(cluster)
        if found["kind"] == "Job" and found["metadata"]["labels"]["component"] == MIGRATION
    ]
    pod = job["spec"]["template"]
    for metadata in (job["metadata"], pod["metadata"]):
        metadata["labels"]["component"] = JOB
    job["metadata"]["name"] = JOB
    job["spec"] |= {"backoffLimit": 0, "activeDeadlineSeconds": SECONDS}
    (container,) = pod["spec"]["containers"]
    container["image"] = f"{airflow.image}:{pinned(airflow.version, airflow.digest)}"
    container["args"] = ["python", "-c", copy.program(MIGRATE)]
    pod["spec"]["restartPolicy"] = "Never"
    return job


def _wait(cluster: Kubernetes) -> None:
    """Wait until the Job has ended. Raises `OperationError` if its pod cannot start."""
    waits_since: dict[str, float] = {}
    while True:
        (job,) = cluster.items("jobs", f"component={JOB}")
        ended = {c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"}
        if ended & {"Complete", "Failed"}:
            return
        problems = [
            problem
            for pod in cluster.items("pods", f"component={JOB}")
            for problem in update_watch.problems(pod)
        ]
        for problem in problems:
            if str(problem) not in waits_since:
                print(f"waiting for {problem}")
            since = waits_since.setdefault(str(problem), time.monotonic())
            patience = update_watch.PATIENCE_SECONDS
            if problem.kind and time.monotonic() - since >= patience:
                raise OperationError(
                    f"the rehearsal cannot start, and nothing was changed: {problem}"
                )
        time.sleep(POLL_SECONDS)


def _delete(cluster: Kubernetes) -> None:
    words = ["delete", "job", JOB, "--namespace", cluster.namespace, "--ignore-not-found"]
    output(cluster.command(*words, "--cascade=foreground"), seconds=320)
