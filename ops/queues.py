"""Commands for the queues of a stack."""

import json

import yaml

from ops import lifecycle, maintenance, queue_ops, queue_status, stack_files
from ops.access import reachable
from ops.recovery.recover import recover, unlock
from ops.session import checked_settings, open_or_create, open_running, open_session
from ops.shell import OperationError
from settings.workers import DEFAULT_QUEUE


def queues(name: str, as_json: bool = False) -> int:
    """Show workers, running and queued tasks of each queue."""
    stack = open_running(name)
    found = queue_status.read(stack.cluster, stack.settings, name)
    unfinished = queue_status.count_tasks(stack.cluster)
    paused = maintenance.is_paused(stack.cluster)
    if as_json:
        print(json.dumps(queue_status.as_json(found, unfinished, paused=paused), indent=2))
        return 0
    print("\n".join(queue_status.table(found, unfinished, name)))
    if paused:
        print(f"Airflow is paused: `make resume STACK={name}`")
    return 0


def scale(
    name: str, queue: str, max_workers: int | None = None, min_workers: int | None = None
) -> int:
    """Change the bounds of a queue in the stack file, then apply them as `up` does."""
    settings = stack_files.read_settings(name)
    queue_status.check_known(list(settings.all_queues), queue, name)
    bounds = {"max": max_workers, "min": min_workers}
    section = "workers" if queue == DEFAULT_QUEUE else f"queues.{queue}"
    numbers = {f"{section}.{key}": number for key, number in bounds.items() if number is not None}
    if not numbers:
        raise OperationError("nothing to change: pass MAX=, MIN= or both")
    stack = open_or_create(name, settings).stack
    file = stack_files.stack_path(name)
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(file.read_text())):
        print(f"{file.name}: `pulumi config` replaces YAML aliases by their values")
    with stack_files.restored_on_failure(file):
        stack.set_in_file(numbers)
        session = open_session(name, checked_settings(name))
        unlock(session.stack)
        with reachable(session, None):
            recover(session)
            lifecycle.check(session)
            if session.stack.run("preview", "--diff") or lifecycle.check_data_loss(session):
                raise OperationError("the preview failed, see above; nothing was changed")
    return lifecycle.update(session)


def drain(name: str, queue: str) -> int:
    """Stop the workers of a queue once their tasks have finished; no new task starts."""
    stack = open_running(name)
    found = queue_status.read_one(stack.cluster, stack.settings, queue, name)
    print(f"{queue}: draining {found.deployment}")
    queue_ops.drain(stack.cluster, [found])
    print(queue_ops.drain_summary(found, queue_status.count_tasks(stack.cluster), name))
    return 0


def undrain(name: str, queue: str) -> int:
    """Start the workers of a drained queue."""
    stack = open_running(name)
    found = queue_status.read_one(stack.cluster, stack.settings, queue, name)
    if not found.drained:
        print(f"{queue}: not drained")
        return 0
    queue_ops.undrain(stack.cluster, [found])
    print(f"{queue}: starting workers. To follow them: `make queues STACK={name}`")
    return 0
