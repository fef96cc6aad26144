"""Nodes that only Celery workers use: they come and go with the queue."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.namespace import PART_OF

NAME = "airflow-workers"
# Workers ask for these nodes and tolerate their taint: see values/aws.yaml.
LABEL = "airflow-platform/nodes"
DRAIN_MARGIN_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class WorkerNodesArgs:
    spot: bool
    grace_seconds: int


class WorkerNodes(pulumi.ComponentResource):
    """A Karpenter NodePool of EKS Auto Mode; with `spot` it falls back to on-demand."""

    def __init__(
        self, name: str, args: WorkerNodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:WorkerNodes", name, None, opts)

        # https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html
        k8s.apiextensions.CustomResource(
            f"{name}-pool",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata={"name": NAME, "labels": PART_OF},
            spec={
                "template": {
                    "metadata": {"labels": {LABEL: "workers"}},
                    "spec": {
                        "nodeClassRef": {
                            "group": "eks.amazonaws.com",
                            "kind": "NodeClass",
                            "name": "default",
                        },
                        "taints": [{"key": LABEL, "value": "workers", "effect": "NoSchedule"}],
                        "requirements": [
                            {
                                "key": "karpenter.sh/capacity-type",
                                "operator": "In",
                                "values": ["spot", "on-demand"] if args.spot else ["on-demand"],
                            },
                            {
                                "key": "eks.amazonaws.com/instance-category",
                                "operator": "In",
                                "values": ["c", "m", "r"],
                            },
                            # The Airflow image is pulled for this architecture.
                            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                        ],
                        # A node that must go waits for the tasks on it as long as a worker does.
                        "terminationGracePeriod": f"{args.grace_seconds + DRAIN_MARGIN_SECONDS}s",
                    },
                },
                "disruption": {
                    "consolidationPolicy": "WhenEmptyOrUnderutilized",
                    "consolidateAfter": "60s",
                },
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
