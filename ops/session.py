"""Opens a stack together with its cluster and its AWS account."""

import json
from dataclasses import dataclass

from ops import endpoint, existing_network, shell, stack_files
from ops.kubernetes import Kubernetes
from ops.plan import policy_report
from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import STATE, Stack, open_stack
from settings import Settings
from settings.cluster import EksSettings, ExistingClusterSettings


@dataclass(frozen=True, kw_only=True)
class Session:
    """A stack, its settings and its AWS account. `account` is None for a stack without a Region."""

    settings: Settings
    stack: Stack
    account: Aws | None

    @property
    def on_existing_cluster(self) -> bool:
        return isinstance(self.settings.cluster, ExistingClusterSettings)

    def cluster(self) -> Kubernetes | None:
        """The cluster of the stack; None before `up` has created it."""
        if isinstance(self.settings.cluster, ExistingClusterSettings):
            context = self.settings.cluster.context
            return self._kubernetes(context, "--context", context)
        content = self.stack.kubeconfig()
        return None if content is None else self.cluster_of(content)

    def cluster_of(self, content: str) -> Kubernetes:
        """The cluster of a kubeconfig."""
        STATE.mkdir(mode=0o700, exist_ok=True)
        kubeconfig = STATE / f"{self.stack.name}.kubeconfig"
        kubeconfig.write_text(content)
        return self._kubernetes(self.stack.name, "--kubeconfig", str(kubeconfig))

    def _kubernetes(self, name: str, *arguments: str) -> Kubernetes:
        namespace = self.settings.cluster.namespace
        return Kubernetes(name=name, namespace=namespace, arguments=arguments)


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    """A deployed stack: its name, settings and cluster."""

    name: str
    settings: Settings
    cluster: Kubernetes


def checked_settings(name: str) -> Settings:
    """Settings of the stack. Raises for mistakes in the stack file and for broken rules."""
    snapshot, settings = stack_files.run_stack(name)
    report = policy_report.evaluate(name, snapshot, settings.policies)
    if report.broken:
        raise OperationError("\n".join([f"Pulumi.{name}.yaml breaks rules:", *report.broken]))
    for warning in report.warnings:
        print(f"warning: {warning}")
    return settings


def open_session(name: str, settings: Settings) -> Session:
    """Check tools, credentials and cluster, then open the stack."""
    existing = isinstance(settings.cluster, ExistingClusterSettings)
    account = aws_account(name)
    needs_aws = not existing or account is not None
    shell.require(shell.PULUMI, shell.KUBECTL, *((shell.AWS,) if needs_aws else ()))
    if account is not None:
        account.check_reachable()
    stack = open_stack(name, in_checkout=existing)
    session = Session(settings=settings, stack=stack, account=account)
    cluster = session.cluster() if existing else None
    if cluster is not None:
        cluster.check_reachable()
        cluster.check_namespace(name, creates=settings.creates_namespace)
    return session


def open_or_create(name: str, settings: Settings) -> Session:
    """Like `open_session`; creates the stack in its backend if it does not exist."""
    session = open_session(name, settings)
    if not session.stack.exists():
        if not session.on_existing_cluster:
            raise OperationError(
                f"stack {name!r} does not exist in your Pulumi backend. Create it once, with a KMS key "
                "for its secrets: docs/aws.md, One-time setup per stack"
            )
        session.stack.create()
    existing_network.require(session.account, settings, session.stack)
    return session


def open_running(name: str) -> RunningStack:
    """Open a deployed stack. Only `up` checks the policy rules."""
    settings = stack_files.read_settings(name)
    session = open_session(name, settings)
    cluster = session.cluster() if session.stack.exists() else None
    if cluster is None:
        raise OperationError(f"stack {name!r} is not deployed: run `make up STACK={name}` first")
    if isinstance(settings.cluster, EksSettings):
        endpoint.check_answer(cluster, settings.cluster)
    return RunningStack(name=name, settings=settings, cluster=cluster)


def aws_account(name: str) -> Aws | None:
    """The AWS account of the stack; None for a stack without a Region."""
    config = {key: text for key, text, _ in stack_files.read_stack(name)}
    if "aws:region" not in config:
        return None
    tags = json.loads(config.get("aws:defaultTags", "{}")).get("tags", {})
    return Aws(region=config["aws:region"], tags=tags)
