"""Commands that create, update, repair and delete a stack."""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components.support.chart_names import SSO_CHECK, XCOM_CHECK
from ops import (
    drift,
    eks,
    endpoint,
    maintenance,
    nodes,
    preconditions,
    queue_ops,
    rds,
    rights,
    shared_cluster,
    stack_files,
    teardown,
    versions,
)
from ops.access import reachable
from ops.next_steps import next_steps
from ops.recovery.existing import import_existing
from ops.recovery.recover import recover, unlock
from ops.session import Session, checked_settings, open_or_create, open_session
from ops.shell import OperationError
from ops.update_watch import UpdateWatch, explain_pods
from policies import replacement
from settings import Settings
from settings.cluster import EksSettings
from settings.database import ContainerDatabaseSettings


def up(name: str, caller: str | None = None) -> int:
    """Create or update the stack, then wait until Airflow is healthy."""
    settings = checked_settings(name)
    preconditions.check(name, settings)
    session = open_or_create(name, settings)
    unlock(session.stack)
    with reachable(session, caller, creates=True) as session:
        recover(session)
        return apply(session)


def preview(name: str) -> int:
    """Show what `up` would change."""
    settings = checked_settings(name)
    preconditions.show(name, settings)
    session = open_or_create(name, settings)
    cluster = session.cluster()
    if cluster is not None and isinstance(session.settings.cluster, EksSettings):
        endpoint.check_answer(cluster, session.settings.cluster)
    check(session)
    status = session.stack.run("preview", "--diff") or check_data_loss(session)
    rds.show_waiting(session)
    return status


def repair(name: str, caller: str | None = None) -> int:
    """Show the drift of the stack, and revert it."""
    session = open_session(name, checked_settings(name))
    if not session.stack.exists():
        print(f"stack {name!r} does not exist: nothing to repair")
        return 0
    shared_cluster.check_namespace(session)
    unlock(session.stack)
    with reachable(session, caller) as session:
        recover(session)
        return _repair(session)


def _repair(session: Session) -> int:
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


def down(name: str, caller: str | None = None) -> int:
    """Delete the stack, except protected resources."""
    session = open_session(name, stack_files.read_settings(name))
    if not session.stack.exists():
        print(f"stack {name!r} does not exist: nothing to delete")
        return 0
    # The endpoint of a cluster that is being deleted does not answer.
    teardown.await_deletion(session)
    unlock(session.stack)
    with reachable(session, caller) as session:
        return teardown.down(session)


def explain_nodes(session: Session) -> None:
    """Print why nodes do not start, after an update that may have waited for them."""
    cluster = None if session.on_existing_cluster else session.cluster()
    reasons = list(nodes.not_ready(cluster)) if cluster is not None else []
    if reasons:
        print("\n".join(["\nNodes are not ready:", *(f"  {reason}" for reason in reasons)]))


def checks(settings: Settings) -> list[str]:
    """Label `component` of the Jobs that run before the release."""
    airflow = settings.airflow
    wanted = {SSO_CHECK: airflow.sso is not None, XCOM_CHECK: airflow.xcom_bucket}
    return [component for component, is_wanted in wanted.items() if is_wanted]


def explain_checks(session: Session) -> None:
    """Print why the checks of `airflow.sso` and `airflow.xcom_bucket` failed."""
    components = checks(session.settings)
    cluster = session.cluster() if components else None
    if cluster is None:
        return
    if reasons := [text for each in components for text in cluster.termination_messages(each)]:
        lines = "\n".join(reasons).splitlines()
        print("\n".join(["\nAirflow was not changed:", *(f"  {line}" for line in lines)]))


def check(session: Session, *, upgrade: bool = False) -> None:
    """Raise `OperationError` for an update that would lose data or could not work.

    `upgrade`: the caller has a backup, which another version of Airflow needs.
    """
    if not upgrade:
        versions.check(session)
    shared_cluster.check_namespace(session)
    rights.check(session)
    shared_cluster.check_storage(session)
    shared_cluster.check_keda(session)
    if not session.settings.installs_keda:
        shared_cluster.check_keda_is_unused(session)
    eks.check_name(session)
    rds.check(session)


def apply(session: Session, *, upgrade: bool = False, deletes: Collection[str] = ()) -> int:
    """Update the stack. `deletes` are URNs of stateful resources that the caller wants to delete."""
    check(session, upgrade=upgrade)
    status, plan = _safe_plan(session, deletes)
    if status:
        return status
    if session.account is not None:
        import_existing(session.stack, session.account, plan)
    return update(session)


def check_data_loss(session: Session) -> int:
    """Exit code of a preview that fails. Raises `OperationError` if `up` would delete data."""
    return _safe_plan(session)[0]


def _safe_plan(session: Session, deletes: Collection[str] = ()) -> tuple[int, Mapping[str, Any]]:
    """Exit code and JSON output of a preview; see `check_data_loss`."""
    if isinstance(session.settings.database, ContainerDatabaseSettings):
        return 0, {}  # a disposable stack: a second preview would only slow `up` down
    plan = session.stack.preview_json()
    if plan is None:
        return session.stack.run("preview"), {}
    findings = replacement.lost(plan, session.settings.policies.exceptions, deletes)
    if findings:
        raise OperationError(
            "\n".join(["Nothing was changed. This update would lose data:", *findings])
        )
    return 0, plan


def update(session: Session) -> int:
    """Run `pulumi up`, wait until Airflow is healthy, and print what waits in the database."""
    status = _update(session)
    if not status:
        rds.show_waiting(session)
    return status


def _update(session: Session) -> int:
    stack, settings = session.stack, session.settings
    before = session.cluster()
    if before is not None:
        before.delete_jobs_of_release()
        for component in checks(settings):
            before.delete_failed_jobs(component)
    # Events contain inputs of resources: a private folder.
    with tempfile.TemporaryDirectory() as folder:
        watch = UpdateWatch(session=session, events=Path(folder, "events"))
        words = ["--yes", "--skip-preview", "--suppress-outputs", "--event-log", str(watch.events)]
        status = stack.run("up", *words, stops=watch.stops)
    if watch.failure is not None:
        raise OperationError(watch.failure)
    if status:
        explain_nodes(session)
        explain_pods(session)
        explain_checks(session)
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
