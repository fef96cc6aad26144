"""The changes of EKS to pods, as an admission webhook.

- Pod Identity: pods whose ServiceAccount has an association get the credentials of its role, other
  pods get none. https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
- Auto Mode: a pod waits for a node of the NodePool whose labels and taints it matches; without one
  it stays pending. One node replaces all nodes, so requests are scaled down.
- ECR: an image of the pull-through cache is pulled from its upstream registry. An image that ECR does
  not have is refused at once; on AWS, its pod stays in `ImagePullBackOff`.
"""

import base64
import copy
import json
import re
import ssl
import tempfile
from pathlib import Path
from typing import Any

from tests.engine.simulator import control
from tests.engine.simulator.backends.auto_mode import NODE_POOL, node_label
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.cloud import Cloud

# The pods of prod request 26 GiB and 13 cores; they use a tenth of that.
CPU_SHARE = 0.05
MEMORY_SHARE = 0.25
BUILT_IN = ("kubernetes.io/", "node.kubernetes.io/")
PODS = {"Service": "pods.eks.amazonaws.com"}
# No node has its label: the pod stays pending.
NO_POOL = "none"


class Pods:
    """Serves the webhook over TLS at `url`, on `host`.

    The NodePools of the pods are added to `wanted_pools`.
    """

    def __init__(
        self,
        cloud: Cloud,
        kubectl: Kubectl,
        authority: Authority,
        host: str,
        wanted_pools: set[str],
    ) -> None:
        self.cloud = cloud
        self.kubectl = kubectl
        self.wanted_pools = wanted_pools
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
        variables = self._variables(namespace, spec.get("serviceAccountName", "default"))
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            present = {variable["name"] for variable in container.get("env", [])}
            added = [{"name": k, "value": v} for k, v in variables.items() if k not in present]
            container.setdefault("env", []).extend(added)
            container["image"] = self._upstream(container["image"])
            _shrink(container)
        pool = self._node_pool(spec)
        if pool != NO_POOL:
            self.wanted_pools.add(pool)
        of_the_node = {
            key: value
            for key, value in spec.get("nodeSelector", {}).items()
            if key.startswith(BUILT_IN)
        }
        spec["nodeSelector"] = {**of_the_node, node_label(pool): "true"}
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
        self._check_trust(role, namespace, account)
        session = self.cloud.client("sts").assume_role(RoleArn=role, RoleSessionName=account)
        credentials = session["Credentials"]
        return common | {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }

    def _check_trust(self, role: str, namespace: str, account: str) -> None:
        """Raise unless the trust policy of a role admits the pod, by the tags that EKS sends.

        https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html#pod-id-abac-tags
        """
        (cluster,) = self.cloud.client("eks").list_clusters()["clusters"]
        arn = self.cloud.client("eks").describe_cluster(name=cluster)["cluster"]["arn"]
        sent = {
            "aws:RequestTag/eks-cluster-arn": arn,
            "aws:RequestTag/eks-cluster-name": cluster,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": account,
        }
        found = self.cloud.client("iam").get_role(RoleName=role.rpartition("/")[2])["Role"]
        for statement in found["AssumeRolePolicyDocument"]["Statement"]:
            equal = statement.get("Condition", {}).get("StringEquals", {})
            if statement["Principal"] == PODS and equal.items() <= sent.items():
                return
        raise PermissionError(f"{role} does not trust pods of {namespace}/{account} of {arn}")

    def _upstream(self, image: str) -> str:
        """The name at which this cluster can pull an image."""
        host, _, path = image.partition("/")
        if not re.fullmatch(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com", host):
            return image
        ecr = self.cloud.client("ecr")
        registry = f"{self.cloud.account}.dkr.ecr.{self.cloud.region}.amazonaws.com"
        repository = re.split("[:@]", path)[0]
        existing = {r["repositoryName"] for r in ecr.describe_repositories()["repositories"]}
        # The role of a node may not create repositories: AmazonEC2ContainerRegistryPullOnly.
        if host != registry or repository not in existing:
            raise LookupError(f"failed to pull {image}: repository {repository} does not exist")
        for rule in ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]:
            prefix = f"{rule['ecrRepositoryPrefix']}/"
            if path.startswith(prefix):
                return path.removeprefix(prefix).removeprefix("library/")
        raise LookupError(f"failed to pull {image}: not found, and no cache rule has its prefix")

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

    def _node_pool(self, spec: dict[str, Any]) -> str:
        """The NodePool whose nodes take a pod."""
        selector = spec.get("nodeSelector", {}).items()
        wanted = {key: value for key, value in selector if not key.startswith(BUILT_IN)}
        for pool in self.kubectl.get(NODE_POOL)["items"]:
            if wanted.items() <= _labels(pool).items() and _tolerates(spec, pool):
                return pool["metadata"]["name"]
        return NO_POOL


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
    resources = container.get("resources", {})
    requests = resources.get("requests", {})
    # The kubelet of the one node may not manage its disk.
    for amounts in (requests, resources.get("limits", {})):
        amounts.pop("ephemeral-storage", None)
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
