"""The Kubernetes API endpoint of an EKS cluster: the networks that it admits, and its answer.

https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
"""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.shell import OperationError
from ops.stack import Stack
from settings.cluster import EksSettings
from settings.types import ANYWHERE

CLUSTER = "aws:eks/cluster:Cluster"
# AWS takes a few minutes to open or close an endpoint.
UPDATE_SECONDS = 1800
LARGEST_PREFIX = 24
# A public endpoint sees none of these: https://www.rfc-editor.org/rfc/rfc6890. The networks for
# documentation are missing: examples and the simulated account use them.
NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
)
YOUR_ADDRESS = "To read your public address: curl https://checkip.amazonaws.com"
# Answers of the API server to a caller without an access entry.
UNAUTHORIZED = ("Unauthorized", "provide credentials")


def parse_caller(given: str) -> str:
    """The network of `FROM=`. Raises `OperationError` unless it is a small public network."""
    try:
        network = ipaddress.IPv4Network(given)
    except ValueError as invalid:
        raise OperationError(
            "FROM should be an IPv4 address such as 203.0.113.7, or a network such as "
            f"203.0.113.0/28, got {given!r} ({invalid}). {YOUR_ADDRESS}"
        ) from None
    if network.prefixlen < LARGEST_PREFIX:
        raise OperationError(
            f"FROM should be one address, or a network of /{LARGEST_PREFIX} to /32, got {given!r} "
            f"with {network.num_addresses} addresses. {YOUR_ADDRESS}"
        )
    if any(network.overlaps(reserved) for reserved in NOT_PUBLIC):
        raise OperationError(
            f"FROM should be a public address, got {given!r}, which the endpoint never sees. "
            f"{YOUR_ADDRESS}"
        )
    return str(network)


def public_networks(config: dict[str, Any]) -> tuple[str, ...]:
    """Networks that reach the public endpoint; empty if there is none."""
    if not config.get("endpointPublicAccess", True):
        return ()
    return tuple(sorted(config.get("publicAccessCidrs") or [ANYWHERE]))


def wanted_networks(settings: EksSettings) -> tuple[str, ...]:
    """What `public_networks` of the cluster should be."""
    return () if settings.private_endpoint else tuple(sorted(settings.public_access_cidrs))


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The endpoint of a cluster that exists in AWS.

    `found` is the answer of EKS; `recorded` the cluster in the state, None if the state lacks it.
    """

    found: dict[str, Any]
    recorded: dict[str, Any] | None
    account: Aws
    stack: Stack

    @classmethod
    def find(cls, stack: Stack, account: Aws) -> "Endpoint | None":
        """The endpoint of the stack's cluster, also of one that an interrupted command created."""
        state = stack.state()
        recorded = _clusters(state.get("resources", []))
        created = _clusters([each["resource"] for each in state.get("pending_operations", [])])
        for cluster in (*recorded, *created):
            found = _describe(account, cluster["inputs"]["name"])
            if found is not None:
                known = cluster if cluster in recorded else None
                return cls(found=found, recorded=known, account=account, stack=stack)
        return None

    @property
    def name(self) -> str:
        return self.found["name"]

    @property
    def admitted(self) -> tuple[str, ...]:
        """Networks that reach the public endpoint, whatever the state says."""
        return public_networks(self.found["resourcesVpcConfig"])

    def admit(self, *networks: str) -> None:
        """Open the public endpoint to these networks only, or close it; then record it in the state.

        A call of AWS instead of an update by Pulumi: it is independent of what else the stack file
        changes, and ends the same if the state does not know what an interrupted command did.
        """
        # EKS refuses an update without a change.
        if self.admitted != networks:
            self._update(*networks)
        if self.recorded and public_networks(self.recorded["outputs"]["vpcConfig"]) != networks:
            # `pulumi up` would request the change again.
            words = ("--yes", "--skip-preview", "--target", self.recorded["urn"])
            if self.stack.run("refresh", *words):
                raise OperationError(
                    f"cluster {self.name}: the state does not show its endpoint, see above; re-run "
                    "the command"
                )

    def _update(self, *networks: str) -> None:
        config: dict[str, Any] = {
            "endpointPrivateAccess": True,
            "endpointPublicAccess": bool(networks),
        }
        if networks:
            config["publicAccessCidrs"] = list(networks)
        change = ["--resources-vpc-config", json.dumps(config)]
        update = self.account.update_cluster(self.name, *change, seconds=UPDATE_SECONDS)
        if update["status"] != "Successful":
            raise OperationError(
                f"cluster {self.name}: the update of its endpoint is {update['status']}: "
                f"{json.dumps(update.get('errors', []))}"
            )

    def kubeconfig(self) -> str:
        """For a stack whose `up` ended before it recorded one."""
        server = {
            "server": self.found["endpoint"],
            "certificate-authority-data": self.found["certificateAuthority"]["data"],
        }
        token = {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": [
                *("eks", "get-token"),
                *("--region", self.account.region),
                *("--cluster-name", self.name),
            ],
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "eks", "cluster": server}],
                "users": [{"name": "aws", "user": {"exec": token}}],
                "contexts": [{"name": "aws", "context": {"cluster": "eks", "user": "aws"}}],
                "current-context": "aws",
            }
        )


def is_unauthorized(reason: str) -> bool:
    return any(words in reason for words in UNAUTHORIZED)


def check_answer(cluster: Kubernetes, settings: EksSettings) -> None:
    """Raise `OperationError` with the way in unless the endpoint answers this machine."""
    reason = cluster.no_answer()
    if reason is not None:
        raise OperationError(no_answer(cluster.name, settings, reason))


def no_answer(stack: str, settings: EksSettings, reason: str) -> str:
    """What to do if the endpoint does not answer this machine."""
    if is_unauthorized(reason):
        return (
            f"the Kubernetes API of stack {stack!r} does not know the AWS identity of this shell "
            f"({reason}). Nothing was changed. Use a role in cluster.admin_role_arns of "
            f"Pulumi.{stack}.yaml, or run `make up`, which adds your identity"
        )
    heading = (
        f"the Kubernetes API endpoint of stack {stack!r} does not answer ({reason}). Nothing was "
        "changed."
    )
    if not settings.private_endpoint:
        listed = ", ".join(settings.public_access_cidrs)
        return (
            f"{heading} It is open to cluster.public_access_cidrs in Pulumi.{stack}.yaml: {listed}. "
            f"Add your network, and run `make up STACK={stack}`. {YOUR_ADDRESS}"
        )
    listed = ", ".join(settings.private_access_cidrs) or "none"
    return "\n".join(
        [
            f"{heading} It is private (cluster.private_endpoint in Pulumi.{stack}.yaml). Either",
            f"  run the command from a network in cluster.private_access_cidrs ({listed}) that is "
            "connected with the VPC, or",
            f"  run make up, down or repair with STACK={stack} FROM=<your public address>: it opens "
            "the endpoint to that address until the command ends",
            YOUR_ADDRESS,
        ]
    )


def _describe(account: Aws, name: str) -> dict[str, Any] | None:
    """The cluster in AWS; None if it does not exist, or has no endpoint that could answer."""
    where = ("--name", name)
    answer = account.call_or_none("eks", "describe-cluster", *where)
    # Until then EKS answers with the former endpoint, and refuses updates.
    if answer is not None and answer["cluster"]["status"] in ("CREATING", "UPDATING"):
        print(f"cluster {name} is {answer['cluster']['status']}: waiting for AWS")
        account.wait("eks", "cluster-active", *where)
        answer = account.call_or_none("eks", "describe-cluster", *where)
    # A cluster that is being deleted, or that EKS could not create, never answers.
    return answer["cluster"] if answer and answer["cluster"]["status"] == "ACTIVE" else None


def _clusters(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in resources if each["type"] == CLUSTER and not each.get("delete")]
