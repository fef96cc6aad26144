"""The API endpoint of an EKS cluster: a TCP pass-through that admits callers as EKS does.

https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
"""

import ipaddress
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends

from tests.engine.simulator.cloud import Cloud

PORT = 443
# The certificate of the API server must contain it, as in kind.
HOST = "127.0.0.1"
ANYWHERE = ["0.0.0.0/0"]


@dataclass
class Machine:
    """The machine that runs Pulumi and kubectl. `private`: its address in the VPC, or in a network
    that is connected with the VPC; None without such a connection.
    """

    public: str = "203.0.113.7"
    private: str | None = None


def admits(cloud: Cloud, name: str, machine: Machine) -> bool:
    """Whether the endpoint of a cluster answers the machine."""
    cluster = eks_backends[cloud.account][cloud.region].clusters.get(name)
    if cluster is None:
        return False
    config = cluster.resources_vpc_config
    networks = config.get("publicAccessCidrs") or ANYWHERE
    if config["endpointPublicAccess"] and _contains(networks, machine.public):
        return True
    if not config["endpointPrivateAccess"] or machine.private is None:
        return False
    # https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
    ec2 = ec2_backends[cloud.account][cloud.region]
    ids = [config["clusterSecurityGroupId"], *config["securityGroupIds"]]
    groups = [ec2.get_security_group_from_id(id_) for id_ in ids]
    networks = [_network(rule) for group in groups if group for rule in group.ingress_rules]
    return _contains(networks, machine.private)


def _network(rule: Any) -> str | None:
    """The IPv4 network that a rule admits to the port of the endpoint."""
    if rule.ip_protocol != "-1" and not (
        rule.ip_protocol == "tcp" and rule.from_port <= PORT <= rule.to_port
    ):
        return None
    return rule.ip_range.get("CidrIp")


def _contains(networks: Iterable[str | None], address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return any(ip in ipaddress.ip_network(network) for network in networks if network)


class Endpoint:
    """Passes connections to `target`, TLS untouched; a refused one gets no answer."""

    def __init__(self, target: tuple[str, int], admitted: Callable[[], bool]) -> None:
        attributes = {"target": target, "admitted": staticmethod(admitted)}
        handler = type("Handler", (_Handler,), attributes)
        self.server = _Server((HOST, 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://{HOST}:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # Connections outlive the endpoint: closing it must not wait for them.
    block_on_close = False
    request_queue_size = 128


class _Handler(socketserver.BaseRequestHandler):
    target: tuple[str, int]
    admitted: Callable[[], bool]

    def handle(self) -> None:
        caller: socket.socket = self.request
        with suppress(OSError):
            if not self.admitted():
                # A security group drops packets: the caller waits until its own timeout.
                while caller.recv(4096):
                    pass
                return
            with socket.create_connection(self.target) as server:
                back = threading.Thread(target=_copy, args=(server, caller), daemon=True)
                back.start()
                _copy(caller, server)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
