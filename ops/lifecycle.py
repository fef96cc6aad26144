"""Commands that create, update, repair and delete a stack."""

from ops import drift, maintenance, preconditions, queue_ops
from ops.next_steps import next_steps
from ops.recovery.recover import recover
from ops.session import Session, checked_settings, open_or_create, open_session
from ops.shell import OperationError
from policies import replacement


def up(name: str) -> int:
    """Create or update the stack, then wait until Airflow is healthy."""
    settings = checked_settings(name)
    preconditions.check(name, settings)
    session = open_or_create(name, settings)
    recover(session)
    return apply(session)


def preview(name: str) -> int:
    """Show what `up` would change."""
    settings = checked_settings(name)
    preconditions.show(name, settings)
    session = open_or_create(name, settings)
    return session.stack.run("preview", "--diff") or check_data_loss(session)


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
    return check_data_loss(session) or update(session)


def check_data_loss(session: Session) -> int:
    """Exit code of a preview that fails. Raises `OperationError` if `up` would delete data."""
    if session.on_existing_cluster:
        return 0  # a disposable stack: a second preview would only slow `up` down
    plan = session.stack.preview_json()
    if plan is None:
        return session.stack.run("preview")
    findings = replacement.lost(plan, session.settings.policies.exceptions)
    if findings:
        raise OperationError(
            "\n".join(["Nothing was changed. This update would lose data:", *findings])
        )
    return 0


def update(session: Session) -> int:
    """Run `pulumi up`, then wait until Airflow is healthy."""
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
    address = None
    if settings.airflow.ingress is not None:
        print("waiting for the name of the load balancer")
        address = cluster.load_balancer()
    print(next_steps(cluster, settings, address))
    return 0
