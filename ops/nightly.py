"""The nightly dumps of a database in a container: docs/adr/0033-nightly-dumps-on-a-volume.md.

Only pods of the CronJob mount their volume. To read it, a Job of the same template waits instead of
making a dump.
"""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.kubernetes.database_backup import CONTAINER, CRON_JOB, FOLDER
from ops.kubernetes import Kubernetes
from ops.shell import OperationError, attempt, output, save_output

# The nightly job on another node keeps the volume as long as it runs.
MOUNT_SECONDS = 300
# A killed command leaves its Job for so long.
READ_SECONDS = 3600
TIMED = r"-\d{8}-\d{6}\.dump$"
LIST = f'cd {FOLDER}; for dump in *.dump; do [ ! -e "$dump" ] || stat -c "%s %n" "$dump"; done'


@dataclass(frozen=True, kw_only=True)
class Volume:
    """The volume of the dumps in the pod of a Job; None: the stack has no nightly dumps."""

    cluster: Kubernetes
    job: str | None

    def dumps(self) -> dict[str, int]:
        """Sizes in bytes, by file name."""
        if self.job is None:
            return {}
        lines = output(self._command(self.job, "sh", "-c", LIST), seconds=60).splitlines()
        sizes = {name: int(size) for size, _, name in (line.partition(" ") for line in lines)}
        return {name: size for name, size in sizes.items() if re.search(TIMED, name)}

    def copy(self, name: str, folder: Path) -> Path:
        """Copy a dump to this machine."""
        dumps = self.dumps()
        if self.job is None or name not in dumps:
            raise OperationError(
                f"the stack has no nightly dump {name}, but: {', '.join(sorted(dumps)) or 'none'}. "
                "Nothing was changed"
            )
        file = save_output(self._command(self.job, "cat", f"{FOLDER}/{name}"), folder / name)
        if (size := file.stat().st_size) != dumps[name]:
            file.unlink()
            raise OperationError(
                f"{name}: {size} of {dumps[name]} bytes arrived, because the connection to the cluster "
                "was lost. Nothing was changed: run the command again"
            )
        return file

    def _command(self, job: str, *words: str) -> list[str]:
        where = ["--namespace", self.cluster.namespace, job, "--container", CONTAINER]
        return self.cluster.command("exec", *where, "--", *words)


@contextmanager
def mounted(cluster: Kubernetes) -> Generator[Volume]:
    """The volume of the dumps, in a pod until the context ends."""
    where = ["--namespace", cluster.namespace]
    get = ["get", "cronjob", CRON_JOB, *where, "--ignore-not-found", "--output", "json"]
    text = output(cluster.command(*get), seconds=30)
    if not text:
        yield Volume(cluster=cluster, job=None)
        return
    create = cluster.command("create", *where, "--filename", "-", "--output", "name")
    reader = json.dumps(_reader(json.loads(text)))
    job = output(create, seconds=30, stdin=reader).strip()
    try:
        ready = "--for=jsonpath={.status.ready}=1"
        wait = cluster.command("wait", job, *where, ready, f"--timeout={MOUNT_SECONDS}s")
        if attempt(wait, seconds=MOUNT_SECONDS + 20).returncode:
            selector = f"--selector=job-name={job.rpartition('/')[2]}"
            inspect = cluster.command("describe", "pods", *where, selector)
            raise OperationError(
                f"no pod has mounted the volume {CRON_JOB} within {MOUNT_SECONDS} s; while the nightly job "
                f"runs, it has the volume. Nothing was changed. Inspect: {' '.join(inspect)}"
            )
        yield Volume(cluster=cluster, job=job)
    finally:
        output(cluster.command("delete", job, *where, "--wait=false"), seconds=30)


def _reader(cron_job: dict[str, Any]) -> dict[str, Any]:
    """A Job with the pod of the CronJob, which waits, and does not write."""
    metadata, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    container["command"] = ["sleep", str(READ_SECONDS)]
    for mount in container["volumeMounts"]:
        mount["readOnly"] = True
    # `sleep` as the first process of a container ignores SIGTERM.
    template["spec"]["terminationGracePeriodSeconds"] = 1
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{CRON_JOB}-read-",
            "labels": metadata["labels"],
            # `make down` deletes it with the CronJob.
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "spec": {
            "template": template,
            "backoffLimit": 0,
            "activeDeadlineSeconds": READ_SECONDS,
            "ttlSecondsAfterFinished": 0,
        },
    }
