"""Host names of the load balancers that Auto Mode creates for Ingresses, in their status.

https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html
"""

import hashlib
import json
import threading
from typing import Any

from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.cloud import Cloud

NAMESPACE, CLASS = "airflow", "airflow"
# AWS takes two to three minutes.
POLL_SECONDS = 2
OBJECT_TAG = "simulated/object"


class LoadBalancers:
    def __init__(self, cloud: Cloud, kubectl: Kubectl) -> None:
        self.cloud = cloud
        self.kubectl = kubectl
        self._stopped = threading.Event()
        self._stopped.set()

    def start(self) -> None:
        """Fill in the status of new Ingresses until `stop`."""
        self._stopped = threading.Event()
        threading.Thread(target=self._run, args=(self._stopped,), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(POLL_SECONDS):
            try:
                self.sync()
            except RuntimeError:
                continue  # the namespace, the API server or the Ingress is gone: look again

    def sync(self) -> None:
        where = ["--namespace", NAMESPACE]
        for ingress in self.kubectl.get("ingresses", *where)["items"]:
            known = ingress.get("status", {}).get("loadBalancer", {}).get("ingress")
            if ingress["spec"].get("ingressClassName") != CLASS or known:
                continue
            name = ingress["metadata"]["name"]
            status = {"loadBalancer": {"ingress": [{"hostname": self._host_name(name)}]}}
            patch = ["--subresource=status", "--type=merge", "--patch"]
            self.kubectl.run(
                "patch", "ingress", name, *where, *patch, json.dumps({"status": status})
            )

    def _host_name(self, ingress: str) -> str:
        """That of the account's load balancer for this Ingress, if it has one."""
        for balancer, tags in self._balancers():
            if tags.get(OBJECT_TAG) == f"{NAMESPACE}/{ingress}":
                return balancer["DNSName"]
        parameters = self.kubectl.get("ingressclassparams.eks.amazonaws.com", CLASS)["spec"]
        prefix = "internal-" if parameters.get("scheme", "internal") == "internal" else ""
        digest = hashlib.sha256(ingress.encode()).hexdigest()
        name = f"k8s-{NAMESPACE[:8]}-{ingress.replace('-', '')[:8]}-{digest[:10]}"
        number = int(digest, 16) % 10**10
        return f"{prefix}{name}-{number}.{self.cloud.region}.elb.amazonaws.com"

    def _balancers(self) -> list[tuple[dict[str, Any], dict[str, str]]]:
        elb = self.cloud.client("elbv2")
        found = elb.describe_load_balancers()["LoadBalancers"]
        if not found:
            return []
        arns = [balancer["LoadBalancerArn"] for balancer in found]
        tags = {
            row["ResourceArn"]: {tag["Key"]: tag["Value"] for tag in row["Tags"]}
            for row in elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
        }
        return [(balancer, tags[balancer["LoadBalancerArn"]]) for balancer in found]
