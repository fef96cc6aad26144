"""The RDS instance of a stack: its name, and changes that wait for a window or a restart."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from ops.stack_files import project
from settings import Settings, limits, sizing
from settings.database import RdsSettings, database_identifier, drill_identifier

TYPE = "aws:rds/instance:Instance"
# Of `restore_from` and `restore_time`.
RESTORE_TIME = "%Y-%m-%dT%H:%M:%SZ"
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_PendingModifiedValues.html : these
# never wait.
NEVER_WAIT = ("MasterUserPassword", "PendingCloudwatchLogsExports")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html
RESTART = ("DBInstanceClass", "DBInstanceIdentifier", "EngineVersion")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.Failover.html
OUTAGE = "no connections for one to two minutes with multi_az, for several without"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Instance = Mapping[str, Any]


def check(session: Session) -> None:
    """Raise `OperationError` for an update that the instance could not take now."""
    database = session.settings.database
    if isinstance(database, RdsSettings):
        _check_name(session.stack, database)
        instance = describe(session)
        if instance is not None:
            _check_connections(session, database, instance)


def describe(session: Session, generation: int | None = None) -> Instance | None:
    """The answer of AWS, by default about the present generation; None if there is no instance."""
    database, account = session.settings.database, session.account
    if not isinstance(database, RdsSettings) or account is None:
        return None
    identifier = database_identifier(database, session.stack.name, generation)
    words = ["describe-db-instances", "--db-instance-identifier", identifier]
    answer = account.call_or_none("rds", *words)
    return answer["DBInstances"][0] if answer else None


def own(session: Session) -> tuple[Instance, Aws]:
    """The instance of the stack, and its account. Raises `OperationError` for another database."""
    instance, account = describe(session), session.account
    if instance is None or account is None:
        raise OperationError("this stack has no database of its own: its owner has the backups")
    return instance, account


def delete_copy(account: Aws, identifier: str) -> None:
    """Delete the copy of an instance that a drill or a rehearsal restores, if there is one."""
    copy = drill_identifier(identifier)
    words = ["--db-instance-identifier", copy]
    if account.exists("rds", "describe-db-instances", *words):
        print(f"deleting {copy}, a copy of {identifier}")
        kept = ["--skip-final-snapshot", "--delete-automated-backups"]
        account.call("rds", "delete-db-instance", *words, *kept)
        account.wait("rds", "db-instance-deleted", *words)


def generation(resource: Mapping[str, Any]) -> int:
    """The number at the end of a resource name; the first generation has none."""
    number = re.search(r"-instance-(\d+)$", resource["urn"])
    return int(number[1]) if number else 1


def show_waiting(session: Session) -> None:
    """Print what waits, if anything does."""
    text = waiting(session)
    if text:
        print(text)


def waiting(session: Session, now: datetime | None = None) -> str:
    """Changes that the instance has not applied yet, and when it will; empty without any."""
    database, account, instance = session.settings.database, session.account, describe(session)
    if not isinstance(database, RdsSettings) or account is None or instance is None:
        return ""
    values = _pending(instance)
    parameters = _parameters_wait(instance)
    if not values and not parameters:
        return ""
    name = instance["DBInstanceIdentifier"]
    lines = ["", f"Changes of the database {name} wait:"]
    lines += [
        f"  {key:<19} {value}, now {instance.get(key, 'not set')}" for key, value in values.items()
    ]
    if parameters:
        lines += [f"  {'max_connections':<19} {database.max_connections}, after a restart"]
    lines += _when(instance, now or datetime.now(UTC))
    accepted = accepted_connections(instance, database)
    if accepted is not None:
        needed = _needed(session.settings)
        until = f"{accepted} connections; Airflow with all its workers opens up to {needed}"
        lines += [f"  {'until then':<19} {until}"]
        if needed > accepted:
            lines += [f"  {'':<19} warning: too few; apply the changes now, or lower workers.max"]
    commands = list(_commands(instance))
    for label, command in zip(("apply now", *[""] * len(commands)), commands, strict=False):
        lines += [f"  {label:<19} {command} --region {account.region}"]
    return "\n".join([*lines, f"  {'':<19} ({OUTAGE})"])


def accepted_connections(instance: Instance, database: RdsSettings) -> int | None:
    """The `max_connections` in effect; None for a class that the settings do not know."""
    running = instance["DBInstanceClass"]
    if not re.fullmatch(limits.INSTANCE_CLASS, running):
        return None
    if not _parameters_wait(instance):
        return database.max_connections
    return limits.rds_max_connections(running)


def next_window(window: str, now: datetime) -> datetime:
    """Start of the current or next maintenance window, such as `sun:05:00-sun:05:30` in UTC."""
    start, end = (_minute(text) for text in window.split("-"))
    week = timedelta(weeks=1)
    monday = (now - timedelta(days=now.weekday())).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    begins = monday + timedelta(minutes=start) - week
    length = timedelta(minutes=(end - start) % (7 * 24 * 60))
    while begins + length <= now:
        begins += week
    return begins


def _minute(text: str) -> int:
    """Minute of the week: `tue:00:10` is 1450."""
    day, hour, minute = text.lower().split(":")
    return (DAYS.index(day) * 24 + int(hour)) * 60 + int(minute)


def _check_name(stack: Stack, database: RdsSettings) -> None:
    """RDS would rename the instance in place."""
    for resource in stack.state().get("resources", []):
        if resource["type"] != TYPE:
            continue
        present = resource.get("outputs", {}).get("identifier")
        wanted = database_identifier(database, stack.name, generation(resource))
        if present not in (None, wanted):
            raise OperationError(
                f"Pulumi.{stack.name}.yaml:\n  {project()}:settings.database.identifier: the database "
                f"of this stack is named {present}; `make up` would rename it to {wanted}, which "
                "restarts it and changes its address. Nothing was changed. To keep the name, add "
                f"`identifier: {present}` to the section `database`"
            )


def _check_connections(session: Session, database: RdsSettings, instance: Instance) -> None:
    """With `apply_immediately`, the update changes the class before the workers."""
    running = instance["DBInstanceClass"]
    known = re.fullmatch(limits.INSTANCE_CLASS, running)
    if database.apply_immediately or running == database.instance_class or not known:
        return
    accepted = min(limits.rds_max_connections(running), database.max_connections)
    needed = _needed(session.settings)
    if needed > accepted:
        window = instance["PreferredMaintenanceWindow"]
        begins = next_window(window, datetime.now(UTC))
        raise OperationError(
            f"Pulumi.{session.stack.name}.yaml:\n  {project()}:settings.database.instance_class: "
            f"{database.instance_class} waits for the maintenance window {_utc(begins)}, because "
            f"apply_immediately is false. Until then the database is {running} and accepts {accepted} "
            f"connections, but Airflow with all its workers opens up to {needed}. Nothing was changed: "
            "set apply_immediately: true, or change only instance_class now and the workers after "
            "the window"
        )


def _needed(settings: Settings) -> int:
    return sizing.database_connections(settings.all_queues.values(), settings.airflow)


def _pending(instance: Instance) -> dict[str, Any]:
    values: dict[str, Any] = instance.get("PendingModifiedValues") or {}
    return {
        key: value
        for key, value in values.items()
        if key not in NEVER_WAIT and value != instance.get(key)
    }


def _parameters_wait(instance: Instance) -> bool:
    groups = instance.get("DBParameterGroups") or []
    return any(group["ParameterApplyStatus"] == "pending-reboot" for group in groups)


def _restarts(instance: Instance) -> bool:
    """Whether a value that waits restarts the instance."""
    return any(key in RESTART for key in _pending(instance))


def _when(instance: Instance, now: datetime) -> Iterator[str]:
    window = instance["PreferredMaintenanceWindow"]
    if _pending(instance):
        begins = _utc(next_window(window, now))
        yield f"  {'when':<19} in the maintenance window {window} UTC, next on {begins}"
    if _parameters_wait(instance) and not _restarts(instance):
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
        yield f"  {'when':<19} parameters: at the next restart; a maintenance window is none"


def _commands(instance: Instance) -> Iterator[str]:
    name = f"--db-instance-identifier {instance['DBInstanceIdentifier']}"
    if _pending(instance):
        yield f"aws rds modify-db-instance {name} --apply-immediately"
    if _parameters_wait(instance) and not _restarts(instance):
        yield f"aws rds reboot-db-instance {name}"


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
