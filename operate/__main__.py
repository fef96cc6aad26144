"""python -m operate up|down|preview --stack local"""

import argparse
import sys

import pulumi

from operate import shell
from operate.kubernetes import NAMESPACE, Kubernetes
from operate.shell import Problem
from operate.stack import STATE, Stack, open_stack
from plan import engine, rules
from sections.platform import ExistingClusterSettings
from settings import Settings


def up(name: str) -> int:
    """Create or change the stack, then wait until Airflow is healthy."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        _create(stack, settings)
    _recover(stack, settings)
    status = stack.run("up", "--yes", "--skip-preview")
    if status:
        return status
    cluster = _cluster(stack, settings)
    cluster.wait_healthy(_say)
    print(_next_steps(cluster, settings))
    return 0


def preview(name: str) -> int:
    """Show what `up` would change."""
    settings = _checked(name)
    stack = _opened(name, settings)
    if not stack.exists():
        _create(stack, settings)
    return stack.run("preview", "--diff")


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
    broken = rules.broken(declaration)
    if broken:
        raise Problem("\n".join([f"Pulumi.{name}.yaml breaks rules:", *broken]))
    return settings


def _opened(name: str, settings: Settings) -> Stack:
    existing = isinstance(settings.cluster, ExistingClusterSettings)
    shell.require(shell.PULUMI, shell.KUBECTL, *(() if existing else (shell.AWS,)))
    stack = open_stack(name, in_checkout=existing)
    if existing:
        cluster = _cluster(stack, settings)
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
    if not isinstance(settings.cluster, ExistingClusterSettings):
        # What AWS made of an interrupted create, only a person can tell: Pulumi says how.
        return
    cluster = _cluster(stack, settings)
    for revision in cluster.clear_interrupted_release():
        _say(f"forgot the Helm revision {revision}, which a killed command left half-way")
    interrupted = stack.interrupted_creates()
    if interrupted:
        _say(f"a killed command was creating {len(interrupted)} resources: looking what is there")
        found = {resource["urn"]: cluster.identify(resource) for resource in interrupted}
        if stack.adopt({urn: id_ for urn, id_ in found.items() if id_}):
            raise Problem("could not repair the state; see above, then run the command again")


def _cluster(stack: Stack, settings: Settings) -> Kubernetes:
    if isinstance(settings.cluster, ExistingClusterSettings):
        context = settings.cluster.context
        return Kubernetes(name=context, arguments=["--context", context])
    STATE.mkdir(mode=0o700, exist_ok=True)
    kubeconfig = STATE / f"{stack.name}.kubeconfig"
    kubeconfig.write_text(stack.outputs()["kubeconfig"])
    return Kubernetes(name=stack.name, arguments=["--kubeconfig", str(kubeconfig)])


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
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)


COMMANDS = {"up": up, "down": down, "preview": preview}


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
