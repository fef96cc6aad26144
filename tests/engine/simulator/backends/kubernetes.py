"""The backend of EKS: an existing Kubernetes cluster, with the parts that Auto Mode adds.

Auto Mode starts nodes, creates EBS volumes and gives AWS credentials to pods. Here one node
replaces all nodes (`auto_mode.py`), volumes are directories on it, and an admission webhook
(`pods.py`) does the rest.
"""

import copy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from moto.eks.models import eks_backends

from tests.engine.simulator import identity
from tests.engine.simulator.backends import endpoint
from tests.engine.simulator.backends.auto_mode import AutoMode
from tests.engine.simulator.backends.endpoint import Endpoint, Machine
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_additions import entries_of

NAMESPACE = "simulated-aws"
ADMIN = "eks-admin"
CRDS = Path(__file__).with_name("crds.yaml")
EBS = "ebs.csi.eks.amazonaws.com"
PROVISIONER = "simulated-ebs"
WEBHOOK = "simulated-eks-pods"
# Namespaces of a stack; `remove` deletes them.
STACK_NAMESPACES = ("airflow", "keda")
OF_KEDA = "app.kubernetes.io/part-of=keda-operator"
SCALED_OBJECTS = "scaledobjects.keda.sh"
NODE_CLAIMS = "nodeclaims.karpenter.sh"
STORAGE_CLASS = "gp3"


class Kubernetes:
    def __init__(
        self, cloud: Cloud, kubectl: Kubectl, pods: Pods, auto_mode: AutoMode, machine: Machine
    ) -> None:
        self.cloud = cloud
        self.kubectl = kubectl
        self.pods = pods
        self.auto_mode = auto_mode
        self.machine = machine
        self.endpoints: dict[str, Endpoint] = {}

    def create(self, name: str) -> tuple[str, str]:
        """Turn the cluster into an EKS cluster: its address, and its CA in base64."""
        self.kubectl.apply(_namespace(), *_administrator())
        self.kubectl.run("apply", "--server-side", "--filename", str(CRDS))
        self.kubectl.apply(self._provisioner())
        self.kubectl.apply(_webhook(self.pods.url, self.pods.authority))
        self.auto_mode.start(name)
        where = self.kubectl.configuration()
        server = urlsplit(where["server"])
        target = (str(server.hostname), server.port or endpoint.PORT)
        self.endpoints[name] = Endpoint(
            target, lambda: endpoint.admits(self.cloud, name, self.machine)
        )
        return self.endpoints[name].url, where["certificate-authority-data"]

    def delete(self, name: str) -> None:
        """Delete everything that a stack has created in the cluster."""
        if name in self.endpoints:
            self.endpoints.pop(name).close()
        # First, what blocks deletions: an APIService without its server blocks every namespace.
        self.kubectl.delete("mutatingwebhookconfiguration", WEBHOOK)
        self.kubectl.delete("apiservice", "--selector", OF_KEDA)
        for namespace in STACK_NAMESPACES:
            self._empty(namespace)
        self.kubectl.delete("namespace", *STACK_NAMESPACES)
        kinds = "customresourcedefinition,clusterrole,clusterrolebinding"
        self.kubectl.delete(kinds, "--selector", OF_KEDA)
        self.kubectl.delete("persistentvolumes", *self._volumes(), "--wait=false")
        self.kubectl.delete("storageclass", STORAGE_CLASS)
        self.kubectl.delete("ingressclass", "airflow")
        self.kubectl.delete("configmap", "amazon-vpc-cni", "--namespace", "kube-system")
        self.auto_mode.remove()
        self.kubectl.delete("--filename", str(CRDS))
        provisioner = self._provisioner()["metadata"]
        self.kubectl.delete(
            "deployment", provisioner["name"], "--namespace", provisioner["namespace"]
        )
        self.kubectl.delete("clusterrolebinding", f"{NAMESPACE}:{ADMIN}")

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """The objects of a kind in all namespaces."""
        return self.kubectl.get(kind, "--all-namespaces")["items"]

    def _volumes(self) -> list[str]:
        found = self.objects("persistentvolumes")
        ours = [v for v in found if v["spec"].get("storageClassName") == STORAGE_CLASS]
        return [volume["metadata"]["name"] for volume in ours] or ["none"]

    def _empty(self, namespace: str) -> None:
        """Delete pods without their grace period, and ScaledObjects without KEDA's finalizer."""
        where = ["--namespace", namespace]
        self._release(SCALED_OBJECTS, *where)
        self.kubectl.delete("pods", "--all", "--force", "--grace-period=0", *where)

    def _release(self, kind: str, *where: str) -> None:
        """Remove the finalizers of the objects of a custom kind: their controller may be gone."""
        crds = self.kubectl.get("customresourcedefinitions")["items"]
        if not any(crd["metadata"]["name"] == kind for crd in crds):
            return
        for found in self.kubectl.get(kind, *where)["items"]:
            free = ["--type=merge", "--patch", '{"metadata": {"finalizers": null}}']
            self.kubectl.run("patch", kind, found["metadata"]["name"], *where, *free)

    def delete_all(self) -> None:
        """Delete what stacks have created, and close the endpoints of their clusters."""
        for name in list(self.endpoints):
            self.endpoints.pop(name).close()
        self.delete("")

    def remove(self) -> None:
        """Delete all objects, also the orphaned ones of an earlier simulator."""
        self.delete_all()
        self.kubectl.delete("namespace", NAMESPACE)

    def token(self, cluster: str) -> str:
        """A token of an administrator, as `aws eks get-token` prints it.

        The API server answers 401 to the token of a caller without access entry.
        """
        if not is_administrator(self.cloud, cluster, identity.caller()):
            return "no-access-entry"
        words = ["--namespace", NAMESPACE, "create", "token", ADMIN]
        return self.kubectl.run(*words).strip()

    def _provisioner(self) -> dict[str, Any]:
        """A copy of the cluster's local-path provisioner, under the name of the EBS driver."""
        found = self.kubectl.get("deployments", "--all-namespaces")["items"]
        local = next(d for d in found if "local-path-provisioner" in _command(d))
        name = {"app": PROVISIONER}
        spec = copy.deepcopy(local["spec"])
        spec["selector"] = {"matchLabels": name}
        spec["template"]["metadata"] = {"labels": name}
        spec["template"]["spec"]["containers"][0]["command"] += ["--provisioner-name", EBS]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": PROVISIONER, "namespace": local["metadata"]["namespace"]},
            "spec": spec,
        }


def is_administrator(cloud: Cloud, name: str, principal: str) -> bool:
    """Whether a principal has an access entry with a policy in the cluster."""
    cluster = eks_backends[cloud.account][cloud.region].clusters.get(name)
    entry = entries_of(cluster).get(principal) if cluster else None
    return bool(entry and entry["policies"])


def _command(deployment: dict[str, Any]) -> list[str]:
    return deployment["spec"]["template"]["spec"]["containers"][0].get("command", [])


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _administrator() -> list[dict[str, Any]]:
    """The creator of an EKS cluster is its administrator."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ADMIN, "namespace": NAMESPACE},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{NAMESPACE}:{ADMIN}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", "name": ADMIN, "namespace": NAMESPACE}],
        },
    ]


def _webhook(url: str, authority: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK},
        "webhooks": [
            {
                "name": "pods.simulated-aws.local",
                "clientConfig": {"url": url, "caBundle": authority},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ],
                # Only pods of the stack; without the simulator they must not start unchanged.
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": list(STACK_NAMESPACES),
                        }
                    ]
                },
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 10,
            }
        ],
    }
