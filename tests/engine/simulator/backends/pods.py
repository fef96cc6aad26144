"""The changes of EKS to pods, as an admission webhook.

- Pod Identity: pods whose ServiceAccount has an association get the credentials of its role, other
  pods get none. https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
- Auto Mode: a pod that matches the labels and taints of a NodePool is schedulable. One node
  replaces all nodes, so requests are scaled down.
- The VPC: host names of AWS resolve to the simulator.
"""

import base64
import copy
import json
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engine.simulator import control
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_patches.identity import SPOT_ROLE

# The pods of prod request 26 GiB and 13 cores; they use a tenth of that.
CPU_SHARE = 0.05
MEMORY_SHARE = 0.25
BUILT_IN = ("kubernetes.io/", "node.kubernetes.io/")


class Pods:
    """Serves the webhook over TLS at `url`, on `host`.

    `names` are IP addresses by host name: the DNS of the VPC.
    """

    def __init__(
        self,
        cloud: Cloud,
        kubectl: Kubectl,
        authority: Authority,
        host: str,
        names: Mapping[str, str],
    ) -> None:
        self.cloud = cloud
        self.kubectl = kubectl
        self.names = names
        self.server = control.serve({("POST", "/"): self._review}, host, _tls(authority, host))
        self.url = f"https://{host}:{self.server.server_port}/"
        self.authority = base64.b64encode(authority.pem.encode()).decode()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _review(self, review: dict[str, Any]) -> dict[str, Any]:
        request = review["request"]
        answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        try:
            spec = self.mutate(request["object"], request["namespace"])["spec"]
            patch = [{"op": "replace", "path": "/spec", "value": spec}]
            answer["patchType"] = "JSONPatch"
            answer["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        except Exception as error:  # the API server returns it to the client
            answer["allowed"] = False
            answer["status"] = {"message": f"simulated EKS: {type(error).__name__}: {error}"}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}

    def mutate(self, pod: dict[str, Any], namespace: str) -> dict[str, Any]:
        """The pod as EKS admits it."""
        changed = copy.deepcopy(pod)
        spec = changed["spec"]
        if self.names:
            spec.setdefault("hostAliases", []).extend(
                {"ip": address, "hostnames": [name]} for name, address in self.names.items()
            )
        variables = self._variables(namespace, spec.get("serviceAccountName", "default"))
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            present = {variable["name"] for variable in container.get("env", [])}
            added = [{"name": k, "value": v} for k, v in variables.items() if k not in present]
            container.setdefault("env", []).extend(added)
            _shrink(container)
        if self._matches_a_node_pool(spec):
            spec["nodeSelector"] = {
                key: value
                for key, value in spec["nodeSelector"].items()
                if key.startswith(BUILT_IN)
            }
        return changed

    def _variables(self, namespace: str, account: str) -> dict[str, str]:
        region = self.cloud.region
        common = {
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            # No instance metadata: it would be a second source of credentials.
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        role = self._role(namespace, account)
        if role is None:
            return common
        session = self.cloud.client("sts").assume_role(RoleArn=role, RoleSessionName=account)
        credentials = session["Credentials"]
        return common | {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }

    def _role(self, namespace: str, account: str) -> str | None:
        eks = self.cloud.client("eks")
        for cluster in eks.list_clusters()["clusters"]:
            found = eks.list_pod_identity_associations(
                clusterName=cluster, namespace=namespace, serviceAccount=account
            )["associations"]
            if found:
                return eks.describe_pod_identity_association(
                    clusterName=cluster, associationId=found[0]["associationId"]
                )["association"]["roleArn"]
        return None

    def _matches_a_node_pool(self, spec: dict[str, Any]) -> bool:
        wanted = spec.get("nodeSelector", {})
        return any(
            wanted.items() <= _labels(pool).items() and _tolerates(spec, pool)
            for pool in self.kubectl.get("nodepools.karpenter.sh")["items"]
            if wanted and (self._has_spot_role() or not _prefers_spot(pool))
        )

    def _has_spot_role(self) -> bool:
        """Without the role EC2 refuses the launch, and the pod stays Pending.

        AuthFailure.ServiceLinkedRoleCreationNotPermitted:
        https://karpenter.sh/docs/troubleshooting/#missing-service-linked-role
        """
        return any(
            r["RoleName"] == SPOT_ROLE for r in self.cloud.client("iam").list_roles()["Roles"]
        )


def _labels(pool: dict[str, Any]) -> dict[str, str]:
    return pool["spec"]["template"].get("metadata", {}).get("labels", {})


def _prefers_spot(pool: dict[str, Any]) -> bool:
    return any(
        rule["key"] == "karpenter.sh/capacity-type" and "spot" in rule.get("values", [])
        for rule in pool["spec"]["template"]["spec"]["requirements"]
    )


def _tolerates(spec: dict[str, Any], pool: dict[str, Any]) -> bool:
    tolerated = spec.get("tolerations", [])
    return all(
        any(
            t.get("key") == taint["key"]
            and t.get("effect") in (None, taint["effect"])
            and (t.get("operator") == "Exists" or t.get("value") == taint.get("value"))
            for t in tolerated
        )
        for taint in pool["spec"]["template"]["spec"].get("taints", [])
    )


def _shrink(container: dict[str, Any]) -> None:
    requests = container.get("resources", {}).get("requests", {})
    if "cpu" in requests:
        requests["cpu"] = f"{max(1, int(_milli(requests['cpu']) * CPU_SHARE))}m"
    if "memory" in requests:
        requests["memory"] = f"{int(_bytes(requests['memory']) * MEMORY_SHARE)}"


def _milli(quantity: str) -> float:
    return float(quantity[:-1]) if quantity.endswith("m") else float(quantity) * 1000


def _bytes(quantity: str) -> float:
    for power, unit in enumerate(("Ki", "Mi", "Gi"), start=1):
        if quantity.endswith(unit):
            return float(quantity[:-2]) * 1024**power
    for power, unit in enumerate(("k", "M", "G"), start=1):
        if quantity.endswith(unit):
            return float(quantity[:-1]) * 1000**power
    return float(quantity)


def _tls(authority: Authority, host: str) -> ssl.SSLContext:
    issued = authority.issue(host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        # `load_cert_chain` reads only files.
        path = Path(folder, "server.pem")
        path.touch(mode=0o600)
        path.write_text(issued.key + issued.certificate)
        context.load_cert_chain(path)
    return context
