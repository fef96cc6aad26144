"""Host names of the load balancers that Auto Mode creates for Ingresses, in their status.

https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html
"""

import json
import threading

from tests.engine.simulator.auto_mode_resources import OBJECT_TAG
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.cloud import Cloud

NAMESPACE = "airflow"
# AWS takes two to three minutes.
POLL_SECONDS = 2


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
        """Write the name of the account's load balancer into the status of its Ingress."""
        self.cloud.auto_mode.sync()
        where = ["--namespace", NAMESPACE]
        names = self._names()
        for ingress in self.kubectl.get("ingresses", *where)["items"]:
            name = ingress["metadata"]["name"]
            known = ingress.get("status", {}).get("loadBalancer", {}).get("ingress")
            if known or f"{NAMESPACE}/{name}" not in names:
                continue
            host_name = {"hostname": names[f"{NAMESPACE}/{name}"]}
            status = {"status": {"loadBalancer": {"ingress": [host_name]}}}
            patch = ["--subresource=status", "--type=merge", "--patch", json.dumps(status)]
            self.kubectl.run("patch", "ingress", name, *where, *patch)

    def _names(self) -> dict[str, str]:
        """Host names by namespace and name of the Ingress."""
        elb = self.cloud.client("elbv2")
        found = {b["LoadBalancerArn"]: b for b in elb.describe_load_balancers()["LoadBalancers"]}
        if not found:
            return {}
        return {
            tag["Value"]: found[row["ResourceArn"]]["DNSName"]
            for row in elb.describe_tags(ResourceArns=list(found))["TagDescriptions"]
            for tag in row["Tags"]
            if tag["Key"] == OBJECT_TAG
        }
