"""The commands that change a stack or read its queues."""

import json

from components.airflow import dag_relay
from components.kubernetes import keda
from ops import drift, maintenance, shell, stack_file_edit, stack_files
from ops import queues as of_queues
from ops.kubernetes import NAMESPACE, Kubernetes
from ops.plan import policy_report
from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import STATE, Stack, open_stack
from policies import replacement
from settings import Settings
from settings.cluster import ExistingClusterSettings
from settings.workers import DEFAULT_QUEUE


def up(name: str) -> int:
    """Create or change the stack, then wait until Airflow is healthy."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        _create(stack, settings)
    _recover(stack, settings)
    return _apply(stack, settings)


def _apply(stack: Stack, settings: Settings) -> int:
    return _guard(stack, settings) or _update(stack, settings)


def _update(stack: Stack, settings: Settings) -> int:
    status = stack.run("up", "--yes", "--skip-preview", "--suppress-outputs")
    if status:
        return status
    cluster = _cluster(stack, settings)
    if cluster is None:
        raise OperationError(
            f"stack {stack.name!r} is up, but its state has no cluster: nothing to wait for"
        )
    if maintenance.is_paused(cluster):
        # An upgrade may have started what has a number of replicas in its manifest.
        _say("Airflow is paused, and stays so")
        _pause(cluster, settings, stack.name)
        cluster.wait_healthy(_say, away={"scheduler"})
        _say(f"\nThe stack is up, and Airflow is paused: `make resume STACK={stack.name}`")
        return 0
    for line in of_queues.settle(cluster, settings, stack.name):
        _say(line)
    cluster.wait_healthy(_say)
    print(_next_steps(cluster, settings))
    return 0


def preview(name: str) -> int:
    """Show what `up` would change."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        _create(stack, settings)
    return stack.run("preview", "--diff") or _guard(stack, settings)


def repair(name: str) -> int:
    """Show what somebody changed behind Pulumi's back, and put it back."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        print(f"stack {name!r} does not exist: nothing to repair")
        return 0
    _recover(stack, settings)
    status = stack.run("refresh", "--yes", "--skip-preview", "--diff")
    cluster = _cluster(stack, settings)
    if status or cluster is None:
        return status
    objects = drift.manifest(cluster)
    changed = drift.differences(cluster, objects)
    if changed:
        _say(
            f"changed in the cluster, and put back (- is there, + is what belongs there):\n{changed}"
        )
        drift.restore(cluster, objects)
    return _apply(stack, settings)


def down(name: str) -> int:
    """Delete the stack, except what is protected."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        print(f"stack {name!r} does not exist: nothing to delete")
        return 0
    _recover(stack, settings)
    status = stack.run("destroy", "--yes", "--skip-preview", "--exclude-protected")
    left = stack.remaining()
    if left:
        print("\nStill there, because it is protected or something protected needs it:")
        print("\n".join(f"  {resource}" for resource in left))
        print("To delete it too: set its `protect` to false, `make up`, then `make down` again.")
    elif not status:
        print("\nNothing is left.")
    return status


def queues(name: str, as_json: bool = False) -> int:
    """Show workers, running and waiting tasks of each queue."""
    cluster, settings = _running(name)
    some = of_queues.workers(cluster, settings, name)
    unfinished = of_queues.tasks(cluster)
    paused = maintenance.is_paused(cluster)
    if as_json:
        print(json.dumps(of_queues.as_json(some, unfinished, paused=paused), indent=2))
        return 0
    print("\n".join(of_queues.table(some, unfinished, name)))
    if paused:
        print(f"Airflow is paused: `make resume STACK={name}`")
    return 0


def scale(
    name: str, queue: str, max_workers: int | None = None, min_workers: int | None = None
) -> int:
    """Change in the stack file how many workers a queue may have, then apply it as `up` does."""
    of_queues.check_known(list(stack_files.read_settings(name).all_queues), queue, name)
    bounds = {"min": min_workers, "max": max_workers}
    section = ("workers",) if queue == DEFAULT_QUEUE else ("queues", queue)
    key = ("config", f"{stack_files.project()}:settings", *section)
    numbers = {(*key, bound): number for bound, number in bounds.items() if number is not None}
    if not numbers:
        raise OperationError("how many workers? Say MAX=, MIN=, or both")
    with stack_file_edit.changed(stack_files.stack_path(name), numbers, _say):
        settings = _checked(name)
        stack = _opened(name, settings)
        if not stack.exists():
            _create(stack, settings)
        _recover(stack, settings)
        if stack.run("preview", "--diff") or _guard(stack, settings):
            raise OperationError("the preview failed, see above; nothing was changed")
    return _update(stack, settings)


def drain(name: str, queue: str) -> int:
    """Let the workers of a queue finish their tasks and go; no new task starts."""
    cluster, settings = _running(name)
    one = of_queues.of(of_queues.workers(cluster, settings, name), queue, name)
    _say(f"{queue}: stopping {one.name}")
    of_queues.drain(cluster, [one])
    print(of_queues.rest(one, of_queues.tasks(cluster), name))
    return 0


def undrain(name: str, queue: str) -> int:
    """Start the workers of a drained queue again."""
    cluster, settings = _running(name)
    one = of_queues.of(of_queues.workers(cluster, settings, name), queue, name)
    if not one.drained:
        print(f"{queue}: is not drained")
        return 0
    of_queues.undrain(cluster, [one])
    print(f"{queue}: its workers start. See `make queues STACK={name}`")
    return 0


def pause(name: str) -> int:
    """Before maintenance: schedule nothing new, and drain every queue."""
    cluster, settings = _running(name)
    some = _pause(cluster, settings, name)
    unfinished = of_queues.tasks(cluster)
    for one in some:
        print(of_queues.rest(one, unfinished, name))
    print(f"Airflow is paused. `make queues STACK={name}` shows what still runs; end it with")
    print(f"`make resume STACK={name}`")
    return 0


def resume(name: str) -> int:
    """After maintenance: start the scheduler, then the workers of every queue."""
    cluster, settings = _running(name)
    some = of_queues.workers(cluster, settings, name)
    schedulers = settings.airflow.replicas.scheduler
    if maintenance.resume(cluster, some, schedulers, _say):
        cluster.wait_healthy(_say)
        print("Airflow runs again.")
        return 0
    print("Airflow is not paused.")
    for one in some:
        if one.drained:
            print(f"{one.queue}: is drained: `make undrain QUEUE={one.queue} STACK={name}`")
    return 0


def _pause(cluster: Kubernetes, settings: Settings, name: str) -> list[of_queues.Workers]:
    some = of_queues.workers(cluster, settings, name)
    maintenance.pause(cluster, some, settings.airflow.replicas.scheduler, _say)
    return some


def _running(name: str) -> tuple[Kubernetes, Settings]:
    """Cluster and settings of a stack that is there. Rules that it breaks are for `up` to tell."""
    settings = stack_files.read_settings(name)
    stack = _opened(name, settings)
    cluster = _cluster(stack, settings) if stack.exists() else None
    if cluster is None:
        raise OperationError(f"stack {name!r} is not there: `make up STACK={name}` first")
    return cluster, settings


def _checked(name: str) -> Settings:
    """Settings of the stack. Mistakes in the file, and broken rules, stop here."""
    declaration, settings = stack_files.run_stack(name)
    found = policy_report.evaluate(name, declaration, settings.policies)
    if found.broken:
        raise OperationError("\n".join([f"Pulumi.{name}.yaml breaks rules:", *found.broken]))
    for warning in found.warnings:
        _say(f"warning: {warning}")
    return settings


def _guard(stack: Stack, settings: Settings) -> int:
    """Exit code of a preview that fails. Raises `OperationError` if `up` would delete data."""
    if isinstance(settings.cluster, ExistingClusterSettings):
        # A throw-away stack, whose `up` is to be quick.
        return 0
    planned = stack.planned()
    if planned is None:
        return stack.run("preview")
    lost = replacement.lost(planned, settings.policies.exceptions)
    if lost:
        raise OperationError(
            "\n".join(["Nothing was changed. This update would lose data:", *lost])
        )
    return 0


def _opened(name: str, settings: Settings) -> Stack:
    existing = isinstance(settings.cluster, ExistingClusterSettings)
    shell.require(shell.PULUMI, shell.KUBECTL, *(() if existing else (shell.AWS,)))
    account = _account(name)
    if account is not None:
        account.check_reachable()
    stack = open_stack(name, in_checkout=existing)
    cluster = _cluster(stack, settings) if existing else None
    if cluster is not None:
        cluster.check_reachable()
        cluster.check_namespace(name, _say)
    return stack


def _create(stack: Stack, settings: Settings) -> None:
    if not isinstance(settings.cluster, ExistingClusterSettings):
        raise OperationError(
            f"stack {stack.name!r} does not exist in your Pulumi backend. Make it once, with a KMS key "
            "for its secrets: docs/aws.md, One-time setup per stack"
        )
    stack.create()


def _recover(stack: Stack, settings: Settings) -> None:
    """Put right what a killed command left, so that the next one can work."""
    if stack.release_stale_lock():
        _say("removed the lock of a command that was killed")
    cluster = _cluster(stack, settings)
    interrupted = stack.interrupted_creates()
    releases = {"airflow": NAMESPACE}
    if settings.installs_keda:
        releases["keda"] = keda.NAMESPACE  # otherwise a KEDA that is there is somebody else's
    forgotten = cluster.clear_interrupted_releases(releases, interrupted) if cluster else ()
    for revision in forgotten:
        _say(f"forgot the Helm revision {revision}, which a killed command left half-way")
    if interrupted:
        _say(f"a killed command was creating {len(interrupted)} resources: looking what is there")
        account = _account(stack.name)
        places = [place for place in (cluster, account) if place is not None]
        found = {
            resource["urn"]: next((id_ for p in places if (id_ := p.identify(resource))), None)
            for resource in interrupted
        }
        if stack.adopt({urn: id_ for urn, id_ in found.items() if id_}):
            raise OperationError(
                "could not repair the state; see above, then run the command again"
            )


def _cluster(stack: Stack, settings: Settings) -> Kubernetes | None:
    """The cluster of the stack. None: there is none yet."""
    if isinstance(settings.cluster, ExistingClusterSettings):
        context = settings.cluster.context
        return Kubernetes(name=context, arguments=["--context", context])
    content = stack.kubeconfig()
    if content is None:
        return None
    STATE.mkdir(mode=0o700, exist_ok=True)
    kubeconfig = STATE / f"{stack.name}.kubeconfig"
    kubeconfig.write_text(content)
    return Kubernetes(name=stack.name, arguments=["--kubeconfig", str(kubeconfig)])


def _account(name: str) -> Aws | None:
    """The AWS account of the stack. None: it has no Region."""
    config = {key: text for key, text, _ in stack_files.read_stack(name)}
    if "aws:region" not in config:
        return None
    tags = json.loads(config.get("aws:defaultTags", "{}")).get("tags", {})
    return Aws(region=config["aws:region"], tags=tags)


def _next_steps(cluster: Kubernetes, settings: Settings) -> str:
    kubectl = " ".join(cluster.command("--namespace", NAMESPACE))
    lines = ["", "Airflow is healthy."]
    if settings.airflow.ingress is None:
        lines += [f"  UI         {kubectl} port-forward svc/airflow-api-server 8080"]
        lines += ["             then http://localhost:8080"]
    else:
        lines += [f"  UI         {settings.airflow.url}"]
    lines += [
        "  user       admin",
        f"  password   {kubectl} get secret airflow-admin"
        " --output go-template='{{.data.password | base64decode}}'",
    ]
    if settings.git_server is None:
        lines += [f"  DAGs       push to {settings.dags.repo}, {settings.dags.ref}"]
    else:
        lines += [f"  DAGs       {kubectl} port-forward svc/git-server 9418"]
        lines += ["             then git clone git://localhost/dags.git, and push"]
    if settings.dags.webhook:
        path = dag_relay.WEBHOOK_PATH
        if settings.airflow.ingress is None:
            ports = f"8081:{dag_relay.WEBHOOK_PORT}"
            lines += [f"  webhook    {kubectl} port-forward svc/{dag_relay.WEBHOOK_NAME} {ports}"]
            lines += [f"             then http://localhost:8081{path}"]
        else:
            lines += [f"  webhook    https://{settings.airflow.ingress.host}{path}"]
        lines += [
            f"  its secret {kubectl} get secret {dag_relay.WEBHOOK_NAME}"
            " --output go-template='{{.data.secret | base64decode}}'"
        ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)
