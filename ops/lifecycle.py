"""Commands that create, update, repair and delete a stack."""

from collections.abc import Mapping
from typing import Any

from ops import drift, eks, maintenance, queue_ops, rds
from ops.next_steps import next_steps
from ops.recovery.existing import import_existing
from ops.recovery.recover import recover
from ops.session import Session, checked_settings, open_or_create, open_session
from ops.shell import OperationError
from policies import replacement


def up(name: str) -> int:
    """Create or update the stack, then wait until Airflow is healthy."""
    session = open_or_create(name, checked_settings(name))
    recover(session)
    return apply(session)


def preview(name: str) -> int:
    """Show what `up` would change."""
    session = open_or_create(name, checked_settings(name))
    eks.check_name(session)
    rds.check(session)
    status = session.stack.run("preview", "--diff")
    if not status and not session.on_existing_cluster:
        refuse_data_loss(session, session.stack.preview_json() or {})
    rds.show_waiting(session)
    return status


def repair(name: str) -> int:
    """Show the drift of the stack, and revert it."""
    session = open_session(name, checked_settings(name))
    if not session.stack.exists():
        print(f"stack {name!r} does not exist: nothing to repair")
        return 0
    recover(session)
    status = session.stack.run("refresh", "--yes", "--skip-preview", "--diff")
    cluster = session.cluster()
    if status or cluster is None:
        return status
    objects = drift.manifest(cluster)
    changes = drift.differences(cluster, objects)
    if changes:
        heading = "drift in the Helm release, reverted (- found in the cluster, + applied by Helm):"
        print(f"{heading}\n{changes}")
        drift.restore(cluster, objects)
    return apply(session)


def down(name: str) -> int:
    """Delete the stack, except protected resources."""
    session = open_session(name, checked_settings(name))
    if not session.stack.exists():
        print(f"stack {name!r} does not exist: nothing to delete")
        return 0
    recover(session)
    status = session.stack.run("destroy", "--yes", "--skip-preview", "--exclude-protected")
    remaining = session.stack.remaining()
    if remaining:
        print("\nNot deleted: protected resources and their dependencies:")
        print("\n".join(f"  {resource}" for resource in remaining))
        print("To delete them, set `protect` to false, run `make up`, then `make down`.")
    elif not status:
        print("\nAll resources were deleted.")
    return status


def apply(session: Session) -> int:
    if session.on_existing_cluster:
        return update(session)  # a disposable stack: a preview would only slow `up` down
    eks.check_name(session)
    rds.check(session)
    plan = session.stack.preview_json()
    if plan is None:
        return session.stack.run("preview")
    refuse_data_loss(session, plan)
    if session.account is not None:
        import_existing(session.stack, session.account, plan)
    return update(session)


def refuse_data_loss(session: Session, plan: Mapping[str, Any]) -> None:
    """Raise `OperationError` if `up` would delete data."""
    findings = replacement.lost(plan, session.settings.policies.exceptions)
    if findings:
        raise OperationError(
            "\n".join(["Nothing was changed. This update would lose data:", *findings])
        )


def update(session: Session) -> int:
    """Run `pulumi up`, wait until Airflow is healthy, and print what waits in the database."""
    status = _update(session)
    if not status:
        rds.show_waiting(session)
    return status


def _update(session: Session) -> int:
    stack, settings = session.stack, session.settings
    status = stack.run("up", "--yes", "--skip-preview", "--suppress-outputs")
    if status:
        return status
    cluster = session.cluster()
    if cluster is None:
        raise OperationError(
            f"stack {stack.name!r} is up to date, but its state contains no cluster to wait for"
        )
    if maintenance.is_paused(cluster):
        print("Airflow is paused and stays paused")
        # The upgrade starts every Deployment whose manifest has a replica count.
        maintenance.stop(cluster, settings, stack.name)
        cluster.wait_healthy(ignore={"scheduler"})
        print(f"\nThe stack is up to date. Airflow is paused: `make resume STACK={stack.name}`")
        return 0
    for line in queue_ops.reconcile(cluster, settings, stack.name):
        print(line)
    cluster.wait_healthy()
    print(next_steps(cluster, settings))
    return 0
