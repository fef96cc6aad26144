"""The rows of `make doctor`: each question, what AWS documents, and what the stack shows."""

import http.client
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from components.airflow import dag_relay
from components.airflow.values import deployment
from components.support.chart_names import API_SERVER, API_SERVER_CONTAINER
from ops.bootstrap import SPOT_ROLE, has_spot_role
from ops.doctor import network_policy
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.shell import OperationError, attempt, output
from settings import Settings
from settings.cluster import EksSettings
from settings.database import RdsSettings

Verdict = Literal["as documented", "differs", "unknown", "not checked"]
EKS_GUIDE = "https://docs.aws.amazon.com/eks/latest/userguide"
POOLS = "nodepools.karpenter.sh"
CLASSES = "nodeclasses.eks.amazonaws.com"
NO_AUTO_MODE = "the cluster has no EKS Auto Mode"
EXPIRE_AFTER = "336h"
WEBHOOK_SECONDS = 10

# Prints the source of boto3's credentials, and whether the pod has a token of its ServiceAccount.
CREDENTIALS = (
    "import boto3, json, os; found = boto3.Session().get_credentials(); "
    "print('found:', json.dumps([found.method if found else None, "
    "os.path.exists('/var/run/secrets/kubernetes.io/serviceaccount/token')]))"
)
# Python 3.13 verifies strictly by default. PostgreSQL starts TLS after a request of 8 bytes.
STRICT_TLS = """
import os, socket, ssl
from urllib.parse import urlsplit
url = urlsplit(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
context = ssl.create_default_context(cafile="/etc/rds-ca/ca.pem")
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection((url.hostname, url.port or 5432), 10) as plain:
    plain.sendall(b"\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f")
    assert plain.recv(1) == b"S", "the server has no TLS"
    try:
        context.wrap_socket(plain, server_hostname=url.hostname).close()
        print("found: verified")
    except ssl.SSLError as error:
        print("found:", error.reason, getattr(error, "verify_message", ""))
"""


@dataclass(frozen=True, kw_only=True)
class Observation:
    verdict: Verdict
    observed: str


def not_checked(why: str) -> Observation:
    return Observation(verdict="not checked", observed=why)


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A deployed stack. `account` is None for a stack without AWS."""

    name: str
    settings: Settings
    cluster: Kubernetes
    account: Aws | None

    @property
    def on_eks(self) -> bool:
        return isinstance(self.settings.cluster, EksSettings)

    def objects(self, kind: str) -> list[dict[str, Any]] | None:
        """Objects of a cluster-wide kind; None if the cluster does not know it."""
        done = attempt(self.cluster.command("get", kind, "--output", "json"), seconds=30)
        if "the server doesn't have a resource type" in done.stderr:
            return None
        if done.returncode:
            raise OperationError(done.stderr.strip())
        return json.loads(done.stdout)["items"]

    def run_in(self, target: str, container: str, script: str) -> str:
        """What a Python script in a container prints after `found:`."""
        where = ["--namespace", self.cluster.namespace, target, "--container", container]
        command = self.cluster.command("exec", *where, "--", "python", "-c", script)
        lines = output(command, seconds=60).splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("found:"))

    @property
    def ports(self) -> Mapping[str, dict[str, Any]]:
        """Results of the probe of the NetworkPolicies, or its error; it runs once."""
        if isinstance(self._probe, OperationError):
            raise self._probe
        return self._probe

    @cached_property
    def _probe(self) -> Mapping[str, dict[str, Any]] | OperationError:
        try:
            settings = self.settings
            return network_policy.measure(
                self.cluster,
                settings.airflow.image_reference,
                settings.images.pull_secret,
                settings.kubernetes,
            )
        except OperationError as error:
            return error


@dataclass(frozen=True, kw_only=True)
class Check:
    item: str
    documented: str
    source: str
    observe: Callable[[Patient], Observation]


def _policy_of(kind: str) -> Callable[[Patient], Observation]:
    def observe(patient: Patient) -> Observation:
        row = patient.ports.get(kind)
        if row is None:
            return not_checked(f"no {kind} pod has started in time")
        if row["open"]:
            return Observation(verdict="differs", observed="not enforced: the closed port is open")
        return Observation(verdict="as documented", observed="enforced: the closed port is closed")

    return observe


def _first_moments(patient: Patient) -> Observation:
    rows = {kind: patient.ports.get(kind, {}) for kind in network_policy.KINDS}
    opened = {kind: row["last"] for kind, row in rows.items() if row.get("last") is not None}
    if not opened:
        return Observation(verdict="as documented", observed="closed from the first connection on")
    text = ", ".join(f"{kind} {seconds:g} s" for kind, seconds in opened.items())
    return Observation(verdict="as documented", observed=f"open after its start: {text}")


def _webhook(patient: Patient) -> Observation:
    ingress = patient.settings.airflow.ingress
    if ingress is None or not patient.settings.dags.webhook:
        return not_checked("the stack has no airflow.ingress with dags.webhook")
    address = patient.cluster.load_balancer(seconds=0)
    if address is None:
        return not_checked("the load balancer has no name yet")
    try:
        status, size = _call(address, ingress.host)
    except (OSError, http.client.HTTPException) as error:
        reason = type(error).__name__
        return not_checked(f"the load balancer is not reachable from here ({reason})")
    # The webhook refuses a call without its secret, with a status and no body; the UI has a body.
    if status == http.HTTPStatus.FORBIDDEN and size == 0:
        return Observation(verdict="as documented", observed="the webhook answers its path")
    text = f"status {status} with {size} bytes: the answer is not the webhook's"
    return Observation(verdict="differs", observed=text)


def _call(address: str, host: str) -> tuple[int, int]:
    """Status and length of the answer to a call without a secret, over verified TLS."""
    with socket.create_connection((address, 443), WEBHOOK_SECONDS) as plain:
        connection = http.client.HTTPConnection(host, timeout=WEBHOOK_SECONDS)
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        connection.request("POST", dag_relay.WEBHOOK_PATH, body=b"{}")
        answer = connection.getresponse()
        return answer.status, len(answer.read())


def _expire_after(patient: Patient) -> Observation:
    pools = patient.objects(POOLS)
    if pools is None:
        return not_checked(NO_AUTO_MODE)
    found = {
        pool["metadata"]["name"]: pool["spec"]["template"]["spec"].get("expireAfter", "not set")
        for pool in pools
    }
    text = ", ".join(f"{name}: {value}" for name, value in sorted(found.items()))
    same = set(found.values()) == {EXPIRE_AFTER}
    return Observation(verdict="as documented" if same else "differs", observed=text or "no pool")


def _node_classes(patient: Patient) -> Observation:
    classes = patient.objects(CLASSES)
    if classes is None:
        return not_checked(NO_AUTO_MODE)
    ready = {
        each["metadata"]["name"]: next(
            (c for c in each.get("status", {}).get("conditions", []) if c["type"] == "Ready"), {}
        )
        for each in classes
    }
    text = ", ".join(
        f"{name}: {condition.get('status', 'no condition')} {condition.get('reason', '')}".strip()
        for name, condition in sorted(ready.items())
    )
    fine = bool(ready) and all(c.get("status") == "True" for c in ready.values())
    return Observation(verdict="as documented" if fine else "differs", observed=text or "no class")


def _nodes(patient: Patient) -> Observation:
    nodes = patient.objects("nodes") or []
    kinds = Counter(
        " ".join(
            node["metadata"]["labels"].get(label, "?")
            for label in (
                "node.kubernetes.io/instance-type",
                "topology.kubernetes.io/zone",
                "karpenter.sh/capacity-type",
            )
        )
        for node in nodes
    )
    text = ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))
    if not patient.on_eks:
        return not_checked(f"the stack has no EKS cluster: {text}")
    label = "eks.amazonaws.com/instance-generation"
    generations = [n["metadata"]["labels"].get(label) for n in nodes]
    known = [int(generation) for generation in generations if generation]
    if not known:
        return Observation(verdict="unknown", observed=text)
    return Observation(verdict="as documented" if min(known) > 4 else "differs", observed=text)


def _pod_identity(patient: Patient) -> Observation:
    if not patient.on_eks:
        return not_checked("the stack has no EKS cluster")
    queues = patient.settings.all_queues
    workers = [deployment(queue, queues) for queue in queues]
    for worker in workers:
        ready = "jsonpath={.status.readyReplicas}"
        where = ["deployment", worker, "--namespace", patient.cluster.namespace, "--output", ready]
        if not attempt(patient.cluster.command("get", *where), seconds=30).stdout.strip():
            continue
        method, token = json.loads(patient.run_in(f"deployment/{worker}", "worker", CREDENTIALS))
        text = f"credentials: {method or 'none'}; ServiceAccount token: {'yes' if token else 'no'}"
        fine = bool(method) and not token
        return Observation(verdict="as documented" if fine else "differs", observed=text)
    return not_checked("no worker is running: start a task")


def _spot_role(patient: Patient) -> Observation:
    if patient.account is None or not patient.on_eks:
        return not_checked("the stack has no EKS cluster")
    role = f"{SPOT_ROLE} {'exists' if has_spot_role(patient.account) else 'is missing'}"
    if not any(queue.spot for queue in patient.settings.all_queues.values()):
        return not_checked(f"no queue uses spot; {role}")
    nodes = patient.objects("nodes") or []
    label = "karpenter.sh/capacity-type"
    spot = sum(node["metadata"]["labels"].get(label) == "spot" for node in nodes)
    fine = spot > 0 and role.endswith("exists")
    verdict = "as documented" if fine else "differs" if role.endswith("missing") else "unknown"
    return Observation(verdict=verdict, observed=f"{role}; {spot} spot nodes")


def _load_balancer(patient: Patient) -> Observation:
    if patient.account is None or patient.settings.airflow.ingress is None:
        return not_checked("the stack has no airflow.ingress on AWS")
    address = patient.cluster.load_balancer(seconds=0)
    elb = "elbv2"
    rows = patient.account.call(elb, "describe-load-balancers")["LoadBalancers"]
    found = next((row for row in rows if row["DNSName"] == address), None)
    if found is None:
        return not_checked("the account has no load balancer of that name")
    arn = found["LoadBalancerArn"]
    words = ["describe-load-balancer-attributes", "--load-balancer-arn", arn]
    attributes = {
        row["Key"]: row["Value"] for row in patient.account.call(elb, *words)["Attributes"]
    }
    (tagged,) = patient.account.call(elb, "describe-tags", "--resource-arns", arn)[
        "TagDescriptions"
    ]
    tags = {row["Key"]: row["Value"] for row in tagged["Tags"]}
    ours = patient.account.tags.items() <= tags.items()
    headers = attributes.get("routing.http.drop_invalid_header_fields.enabled", "not set")
    text = (
        f"{found['Scheme']}; drop_invalid_header_fields: {headers}; access logs: "
        f"{attributes.get('access_logs.s3.enabled', 'not set')}; tags of the stack: "
        f"{'yes' if ours else 'no'}"
    )
    fine = ours and headers == "true"
    return Observation(verdict="as documented" if fine else "differs", observed=text)


def _strict_tls(patient: Patient) -> Observation:
    if not isinstance(patient.settings.database, RdsSettings):
        return not_checked("the stack has no RDS")
    found = patient.run_in(f"deployment/{API_SERVER}", API_SERVER_CONTAINER, STRICT_TLS)
    fine = found == "verified"
    return Observation(verdict="as documented" if fine else "differs", observed=found)


CHECKS = (
    *(
        Check(
            item=f"NetworkPolicy for pods of a {kind}"
            if kind != "Pod"
            else "NetworkPolicy for a bare pod",
            documented="applies to pods of a Deployment; others are not mentioned, or excluded",
            source=f"{EKS_GUIDE}/cni-network-policy.html",
            observe=_policy_of(kind),
        )
        for kind in network_policy.KINDS
    ),
    Check(
        item="first moments of a pod",
        documented="open until the policy applies, unless the NodeClass has DefaultDeny",
        source=f"{EKS_GUIDE}/auto-net-pol.html",
        observe=_first_moments,
    ),
    Check(
        item="actions.* annotations of the Ingress",
        documented="not in the list of what Auto Mode lacks",
        source=f"{EKS_GUIDE}/auto-configure-alb.html",
        observe=_webhook,
    ),
    Check(
        item="expireAfter of a NodePool",
        documented=f"{EXPIRE_AFTER} if the pool does not set it",
        source=f"{EKS_GUIDE}/create-node-pool.html",
        observe=_expire_after,
    ),
    Check(
        item="NodeClass",
        documented="ready once subnets, security groups and role are found",
        source=f"{EKS_GUIDE}/create-node-class.html",
        observe=_node_classes,
    ),
    Check(
        item="instance types and zones of the nodes",
        documented="c, m or r of a generation above 4, in the zones of the private subnets",
        source=f"{EKS_GUIDE}/automode-learn-instances.html",
        observe=_nodes,
    ),
    Check(
        item="Pod Identity without a ServiceAccount token",
        documented="credentials come with a token of their own",
        source=f"{EKS_GUIDE}/pod-id-how-it-works.html",
        observe=_pod_identity,
    ),
    Check(
        item="service-linked role of EC2 Spot",
        documented="only the console creates it; Auto Mode is not mentioned",
        source="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html",
        observe=_spot_role,
    ),
    Check(
        item="attributes and tags of the load balancer",
        documented="those of IngressClassParams",
        source=f"{EKS_GUIDE}/auto-configure-alb.html",
        observe=_load_balancer,
    ),
    Check(
        item="certificates of RDS in Python's strict mode",
        documented="the roots are published; leaf and intermediate certificates are not",
        source="https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html",
        observe=_strict_tls,
    ),
)
