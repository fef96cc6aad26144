"""Access of one command to the Kubernetes API endpoint of its stack: docs/adr/0020."""

import ipaddress
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace

from ops import endpoint
from ops.endpoint import YOUR_ADDRESS, Endpoint
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import STATE
from settings.cluster import EksSettings
from settings.network import ExistingNetworkSettings

# After a change, resolvers return the former address of the endpoint for a while.
ANSWER_SECONDS = 300
# A new access entry works after some seconds.
ENTRY_SECONDS = 120
POLL_SECONDS = 5
# Access entries of the cluster, also those that the state does not contain yet.
ENTRIES = tuple(
    f"**airflow:aws:Cluster$**{type_}::**"
    for type_ in (
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    )
)


@contextmanager
def reachable(session: Session, caller: str | None, *, creates: bool = False) -> Generator[Session]:
    """A session whose cluster answers this machine; raises `OperationError` before any change.

    With `caller`, a private endpoint is open to that network until the context ends. `creates`: the
    command creates a missing cluster.
    """
    settings, account = session.settings.cluster, session.account
    private = isinstance(settings, EksSettings) and settings.private_endpoint
    if caller is not None and session.on_existing_cluster:
        raise OperationError(
            f"FROM opens a private endpoint of EKS, and Pulumi.{session.stack.name}.yaml has "
            "cluster.kind: existing: run the command without FROM"
        )
    if caller is not None and not private:
        raise OperationError(
            f"FROM needs cluster.private_endpoint: true in Pulumi.{session.stack.name}.yaml; without "
            "it, list your network in cluster.public_access_cidrs"
        )
    if not isinstance(settings, EksSettings) or account is None:
        yield session
        return
    found = Endpoint.find(session.stack, account)
    if caller is None:
        if found is None:
            if creates:
                _check_first_up(session, account, settings)
        else:
            seconds = ANSWER_SECONDS if _restore(found, settings) else 0
            _check(session, found, settings, seconds=seconds)
        yield session
        return
    network = endpoint.parse_caller(caller)
    name = session.stack.name
    print(f"the Kubernetes API endpoint will be open to {network} until this command ends")
    copy = session.stack.copy_with(
        STATE / f"Pulumi.{name}.open.yaml",
        {"cluster.private_endpoint": "false", "cluster.public_access_cidrs[0]": network},
    )
    try:
        opened = replace(session, stack=copy)
        if found is not None:
            found.admit(network)
            _check(opened, found, settings, seconds=ANSWER_SECONDS)
        yield opened
    finally:
        copy.file.unlink(missing_ok=True)
        _close(session, account, network)


def _close(session: Session, account: Aws, network: str) -> None:
    """Close the endpoint, also after an error, which stays the error of the command."""
    failed = sys.exc_info()[0] is not None
    try:
        found = Endpoint.find(session.stack, account)
        if found is not None:
            print(f"closing the Kubernetes API endpoint to {network}")
            found.admit()
            print("the Kubernetes API endpoint is private again")
    except (OperationError, KeyboardInterrupt) as error:
        still_open = (
            f"the Kubernetes API endpoint may still be open to {network}: "
            f"`make up STACK={session.stack.name}` closes it. {error}"
        )
        if failed:
            print(still_open, file=sys.stderr)
            return
        raise OperationError(still_open) from None


def _restore(found: Endpoint, settings: EksSettings) -> bool:
    """Apply the networks of the stack file, which also closes what an interrupted command left open.

    Returns whether networks were added.
    """
    before, after = found.admitted, endpoint.wanted_networks(settings)
    if before != after:
        how = f"opening it to {', '.join(after)}" if after else "closing it"
        print(f"the Kubernetes API endpoint is open to {', '.join(before) or 'no network'}: {how}")
    found.admit(*after)
    return not set(after) <= set(before)


def _check(session: Session, found: Endpoint, settings: EksSettings, *, seconds: float) -> None:
    """Wait for the answer of the endpoint. The caller gets its access entry if it lacks one."""
    cluster = session.cluster() or session.cluster_of(found.kubeconfig())
    reason = _wait(cluster, seconds, until=endpoint.is_unauthorized)
    if reason is not None and endpoint.is_unauthorized(reason):
        if found.recorded is None:
            return  # the whole update adds the entry, after the cluster is in the state
        print("the cluster does not know the AWS identity of this shell: adding its access entry")
        targets = [word for entry in ENTRIES for word in ("--target", entry)]
        if session.stack.run("up", "--yes", "--skip-preview", "--suppress-outputs", *targets):
            raise OperationError("could not add the access entry, see above")
        reason = _wait(cluster, ENTRY_SECONDS)
    if reason is not None:
        raise OperationError(endpoint.no_answer(session.stack.name, settings, reason))


def _wait(
    cluster: Kubernetes, seconds: float, until: Callable[[str], bool] = lambda _: False
) -> str | None:
    """Why the cluster does not answer; None as soon as it does, or a reason that ends the wait."""
    deadline = time.monotonic() + seconds
    while (reason := cluster.no_answer()) is not None:
        if until(reason) or time.monotonic() > deadline:
            return reason
        time.sleep(POLL_SECONDS)
    return None


def _check_first_up(session: Session, account: Aws, settings: EksSettings) -> None:
    """Raise `OperationError` if this machine cannot reach the endpoint that `up` would create."""
    if not settings.private_endpoint:
        return
    name = session.stack.name
    missing = "the cluster and its VPC do not exist yet"
    network = session.settings.network
    if isinstance(network, ExistingNetworkSettings):
        vpc = network.vpc_id
        answer = account.call("ec2", "describe-vpcs", "--vpc-ids", vpc)
        blocks = [each["CidrBlock"] for each in answer["Vpcs"][0]["CidrBlockAssociationSet"]]
        address = _source_address(blocks[0])
        if _contains([*blocks, *settings.private_access_cidrs], address):
            return
        missing = (
            f"the address {address} of this machine is neither in {vpc} nor in "
            "cluster.private_access_cidrs"
        )
    raise OperationError(
        "\n".join(
            [
                f"Pulumi.{name}.yaml: cluster.private_endpoint is true, and {missing}: this machine "
                "could not reach the Kubernetes API. Nothing was changed. Run:",
                f"  make up STACK={name} FROM=<your public address>",
                "The Kubernetes API endpoint is open to that address until the command ends.",
                YOUR_ADDRESS,
            ]
        )
    )


def _source_address(block: str) -> str | None:
    """The address of this machine on the route to a network; None without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            # UDP: the kernel only selects the route and sends nothing.
            route.connect((str(ipaddress.ip_network(block)[1]), 9))
        except OSError:
            return None
        return route.getsockname()[0]


def _contains(networks: Iterable[str], address: str | None) -> bool:
    if address is None:
        return False
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks
    )
