"""The DNS of the VPC, in CoreDNS: the host name of a database resolves to its Service."""

from tests.engine.simulator.backends.kubectl import Kubectl

NAMESPACE = "simulated-aws"
WHERE = ("--namespace", "kube-system")
BLOCK = ".:53 {\n"
# https://coredns.io/plugins/rewrite/: `answer auto` keeps the name of the question in the answer.
RULE = (
    r"    rewrite name regex ^([a-z0-9-]+)\.[0-9a-f]{12}\.[a-z0-9-]+\.rds\.amazonaws\.com\.?$"
    f" {{1}}.{NAMESPACE}.svc.cluster.local answer auto\n"
)


def start(kubectl: Kubectl) -> None:
    """Raises `RuntimeError` if the Corefile has another form."""
    stop(kubectl)
    found = _corefile(kubectl)
    if BLOCK not in found:
        raise RuntimeError(f"CoreDNS: the Corefile has no {BLOCK.strip()!r}")
    _write(kubectl, found.replace(BLOCK, BLOCK + RULE, 1))
    # CoreDNS reads its file again after up to two minutes.
    kubectl.run("rollout", "restart", "deployment/coredns", *WHERE)
    kubectl.run("rollout", "status", "deployment/coredns", *WHERE, "--timeout", "120s")


def stop(kubectl: Kubectl) -> None:
    """Without effect if no simulator has changed CoreDNS."""
    found = _corefile(kubectl)
    if RULE in found:
        _write(kubectl, found.replace(RULE, ""))


def _corefile(kubectl: Kubectl) -> str:
    return kubectl.get("configmap", "coredns", *WHERE)["data"]["Corefile"]


def _write(kubectl: Kubectl, corefile: str) -> None:
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": "kube-system"},
            "data": {"Corefile": corefile},
        }
    )
