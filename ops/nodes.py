"""Why nodes of EKS Auto Mode do not start: Pulumi prints only that the wait timed out."""

import json
from collections.abc import Iterator

from ops.kubernetes import Kubernetes
from ops.shell import attempt

SECONDS = 30
KINDS = "nodeclasses.eks.amazonaws.com,nodepools.karpenter.sh,nodeclaims.karpenter.sh"


def not_ready(cluster: Kubernetes) -> Iterator[str]:
    """One line for each NodeClass, NodePool and NodeClaim that is not ready, with EKS's reason.

    None for a cluster without these kinds, and for one that does not answer.
    """
    done = attempt(cluster.command("get", KINDS, "--output", "json"), seconds=SECONDS)
    if done.returncode:
        return
    for found in json.loads(done.stdout)["items"]:
        for condition in found.get("status", {}).get("conditions", []):
            if condition["status"] == "False":
                yield (
                    f"{found['kind']} {found['metadata']['name']}: {condition['type']} is false: "
                    f"{condition.get('reason', '')}: {condition.get('message', '')}"
                )
