"""The commands of `python -m ops`: the one table of make targets, help texts and documentation.

Standard library only: `make help` reads it before there is an environment.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUEUE: Mapping[str, Any] = {
    "default": "",
    "help": "a queue of the stack file; `default` is the section `workers`",
}
FROM: Mapping[str, Any] = {
    "dest": "caller",
    "metavar": "CIDR",
    "help": "open a private Kubernetes API endpoint to this public address until the command ends",
}
YES: Mapping[str, Any] = {"action": "store_true", "help": "do not ask"}
JSON: Mapping[str, Any] = {"action": "store_true", "dest": "as_json", "help": "print JSON"}


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A command. `function` is `module:name`; `options` maps flags to arguments of argparse."""

    name: str
    help: str
    function: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


VERBS = (
    Verb(
        name="bootstrap",
        help="Prepare the AWS account of STACK: BUCKET=my-pulumi-state, KMS key, spot role (YES=1)",
        function="ops.bootstrap:bootstrap",
        options={
            "--bucket": {"help": "S3 bucket for the state; default: that of PULUMI_BACKEND_URL"},
            "--key-alias": {"help": "alias of the KMS key for secrets; default: alias/pulumi"},
            "--yes": YES,
        },
    ),
    Verb(
        name="plan",
        help="Show what STACK declares, offline (ARGS=--json)",
        function="ops.plan.command:plan",
        options={
            "--json": JSON,
            "--dags": {
                "type": Path,
                "help": "checkout of the DAG repository: compare its queues with those of the stack",
            },
        },
    ),
    Verb(
        name="images",
        help="List the container images of STACK and, with images.registry, the names of their copies",
        function="ops.images:images",
    ),
    Verb(
        name="preview",
        help="Show what `make up` would change",
        function="ops.lifecycle:preview",
    ),
    Verb(
        name="up",
        help="Create or update STACK, wait until Airflow is healthy, print how to use it",
        function="ops.lifecycle:up",
        options={"--from": FROM},
    ),
    Verb(
        name="down",
        help="Delete STACK, except protected resources",
        function="ops.lifecycle:down",
        options={"--from": FROM},
    ),
    Verb(
        name="upgrade",
        help="Change the version of Airflow, with a backup: VERSION=3.3.2 (WAIT=60 minutes, REHEARSAL=no)",
        function="ops.upgrade:upgrade",
        options={
            "--version": {"help": "version of Airflow; default: that of the stack file"},
            "--wait": {
                "type": int,
                "default": 60,
                "dest": "wait_minutes",
                "help": "minutes to wait for running tasks",
            },
            "--rehearsal": {
                "choices": ("yes", "no"),
                "help": "migrate a copy of the database first; default: with policies.level: production",
            },
            "--backup": {
                "dest": "made_backup",
                "help": "name of a backup that you made, of a database that is not part of the stack",
            },
            "--from": FROM,
        },
    ),
    Verb(
        name="backup",
        help="Back the metadata database up: an RDS snapshot, or a dump in .state/backups/",
        function="ops.backup:backup",
    ),
    Verb(
        name="backups",
        help="List the backups: dumps of the volume and of .state/backups/, or snapshots of RDS",
        function="ops.backup:backups",
    ),
    Verb(
        name="restore",
        help="Replace the database: BACKUP=<dump>, SNAPSHOT=<name> or TIME=2026-11-28T10:00Z (YES=1)",
        function="ops.generations:restore",
        options={
            "--backup": {
                "type": Path,
                "dest": "dump",
                "help": "a dump of a database in a container",
            },
            "--snapshot": {
                "help": "name or ARN of a snapshot of RDS, or name of a dump of the volume"
            },
            "--time": {"help": "a point in time of RDS, with its zone"},
            "--yes": YES,
            "--from": FROM,
        },
    ),
    Verb(
        name="drill",
        help="Restore the newest backup into a copy, check it with Airflow, print RPO and RTO, delete it",
        function="ops.drill:drill",
        options={"--from": FROM},
    ),
    Verb(
        name="forget-database",
        help="Delete the former RDS database, which `rollback` or `restore` has kept (YES=1)",
        function="ops.generations:forget",
        options={"--yes": YES, "--from": FROM},
    ),
    Verb(
        name="rollback",
        help="Restore the backup of the last upgrade, and the version of Airflow before it (YES=1)",
        function="ops.upgrade:rollback",
        options={"--yes": YES, "--from": FROM},
    ),
    Verb(
        name="repair",
        help="Show the drift of STACK, and revert it",
        function="ops.lifecycle:repair",
        options={"--from": FROM},
    ),
    Verb(
        name="doctor",
        help="Test on a deployed STACK what AWS leaves undocumented; print a table for a report",
        function="ops.doctor.command:doctor",
    ),
    Verb(
        name="queues",
        help="Show workers, running and queued tasks of each queue (ARGS=--json)",
        function="ops.queues:queues",
        options={"--json": JSON},
    ),
    Verb(
        name="dags",
        help="Show the published commit of each DAG repository, and why a newer one is not published",
        function="ops.dags:dags",
    ),
    Verb(
        name="scale",
        help="Set MAX=10 and MIN=2 workers of QUEUE=etl in the stack file, then run `make up`",
        function="ops.queues:scale",
        options={
            "--queue": QUEUE,
            "--max": {"type": int, "dest": "max_workers", "help": "maximum number of workers"},
            "--min": {"type": int, "dest": "min_workers", "help": "minimum number of workers"},
        },
    ),
    Verb(
        name="drain",
        help="Stop the workers of QUEUE=etl when their tasks have finished; new tasks wait",
        function="ops.queues:drain",
        options={"--queue": QUEUE},
    ),
    Verb(
        name="undrain",
        help="Start the workers of QUEUE=etl again",
        function="ops.queues:undrain",
        options={"--queue": QUEUE},
    ),
    Verb(
        name="pause",
        help="Stop scheduling and drain every queue, for maintenance",
        function="ops.maintenance:pause",
    ),
    Verb(
        name="resume",
        help="Start the schedulers, then the workers of every queue",
        function="ops.maintenance:resume",
    ),
)


def main() -> None:
    """`python -m ops.verbs [--help]`: prints the target names of the Makefile, or their help."""
    if "--help" in sys.argv:
        print("\n".join(f"  make {verb.name:<22} {verb.help}" for verb in VERBS))
    else:
        print(" ".join(verb.name for verb in VERBS))


if __name__ == "__main__":
    main()
