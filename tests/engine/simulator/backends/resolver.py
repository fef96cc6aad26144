"""The DNS of the VPC: CoreDNS asks it for the host names of databases."""

import re
from collections.abc import Mapping

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

from tests.engine.simulator.backends.kubectl import Kubectl

ZONE = "rds.amazonaws.com"
WHERE = ("--namespace", "kube-system")
# A test may delete a database and create it again, at another address.
TTL_SECONDS = 1


class Names(BaseResolver):
    """Answers with the IP addresses of `names`, by host name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        reply = request.reply()
        address = self.names.get(str(request.q.qname).rstrip("."))
        if address is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.A:
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=TTL_SECONDS))
        return reply


class Resolver:
    """Serves DNS on `host`, for the pods of the cluster."""

    def __init__(self, kubectl: Kubectl, host: str, names: Mapping[str, str]) -> None:
        self.kubectl = kubectl
        # By default it prints every request; the pipe of a test that does not read would fill.
        silent = DNSLogger(logf=lambda _: None)
        self.server = DNSServer(Names(names), address=host, port=0, logger=silent)
        self.address = f"{host}:{self.server.server.server_address[1]}"

    def start(self) -> None:
        self.server.start_thread()
        block = f"{ZONE}:53 {{\n    errors\n    forward . {self.address}\n}}\n"
        self._write(without_zone(self._corefile()) + block)
        # CoreDNS reads its file again after up to two minutes.
        self.kubectl.run("rollout", "restart", "deployment/coredns", *WHERE)
        self.kubectl.run("rollout", "status", "deployment/coredns", *WHERE, "--timeout", "120s")

    def stop(self) -> None:
        self.server.stop()
        self.server.server.server_close()
        self._write(without_zone(self._corefile()))

    def _corefile(self) -> str:
        return self.kubectl.get("configmap", "coredns", *WHERE)["data"]["Corefile"]

    def _write(self, corefile: str) -> None:
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "coredns", "namespace": "kube-system"},
                "data": {"Corefile": corefile},
            }
        )


def without_zone(corefile: str) -> str:
    """A Corefile without the block of this simulator, or of a killed one."""
    return re.sub(rf"^{re.escape(ZONE)}:53 \{{[^}}]*\}}\n", "", corefile, flags=re.MULTILINE)
