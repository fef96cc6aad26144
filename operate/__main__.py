"""python -m operate up|down|preview|repair --stack local"""

import argparse
import json
import sys

import pulumi

from components import dag_relay, dag_relay_webhook, keda
from operate import release, shell
from operate.aws import Aws
from operate.kubernetes import NAMESPACE, Kubernetes
from operate.shell import Problem
from operate.stack import STATE, Stack, open_stack
from plan import engine, verdict
from policies import replacement
from sections.platform import ExistingClusterSettings
from settings import Settings


def up(name: str) -> int:
    """Create or change the stack, then wait until Airflow is healthy."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        _create(stack, settings)
    _recover(stack, settings)
    return _apply(stack, settings)


def _apply(stack: Stack, settings: Settings) -> int:
    status = _guard(stack, settings) or stack.run(
        "up", "--yes", "--skip-preview", "--suppress-outputs"
    )
    if status:
        return status
    cluster = _cluster(stack, settings)
    if cluster is None:
        raise Problem(
            f"stack {stack.name!r} is up, but its state has no cluster: nothing to wait for"
        )
    for workers in cluster.wake_workers():
        _say(f"started {workers}: it had none left, and by CPU none would come")
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
    objects = release.manifest(cluster)
    changed = release.differences(cluster, objects)
    if changed:
        _say(
            f"changed in the cluster, and put back (- is there, + is what belongs there):\n{changed}"
        )
        release.restore(cluster, objects)
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


def _checked(name: str) -> Settings:
    """Settings of the stack. Mistakes in the file, and broken rules, stop here."""
    declaration, settings = engine.run_stack(name)
    found = verdict.of(name, declaration, settings.policies)
    if found.broken:
        raise Problem("\n".join([f"Pulumi.{name}.yaml breaks rules:", *found.broken]))
    for warning in found.warnings:
        _say(f"warning: {warning}")
    return settings


def _guard(stack: Stack, settings: Settings) -> int:
    """Raise `Problem` if an `up` would lose what keeps data. Not 0: it would fail, and has said why."""
    if isinstance(settings.cluster, ExistingClusterSettings):
        # A throw-away stack, whose `up` is to be quick.
        return 0
    planned = stack.planned()
    if planned is None:
        return stack.run("preview")
    lost = replacement.lost(planned, settings.policies.exceptions)
    if lost:
        raise Problem("\n".join(["Nothing was changed. This update would lose data:", *lost]))
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
        raise Problem(
            f"stack {stack.name!r} does not exist in your Pulumi backend. Make it once, with a KMS key "
            "for its secrets: README.md, Once for each AWS account"
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
            raise Problem("could not repair the state; see above, then run the command again")


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
    config = {key: text for key, text, _ in engine.read_stack(name)}
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
        path = dag_relay_webhook.PATH
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


COMMANDS = {"up": up, "down": down, "preview": preview, "repair": repair}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m operate", description=__doc__)
    verbs = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        verb = verbs.add_parser(name, help=command.__doc__, description=command.__doc__)
        verb.add_argument(
            "--stack", required=True, help=f"one of {', '.join(engine.stack_names())}"
        )
    arguments = parser.parse_args()
    try:
        return COMMANDS[arguments.command](arguments.stack)
    except (Problem, pulumi.RunError) as mistake:
        print(mistake, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
