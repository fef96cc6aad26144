"""Nodes for the Celery workers of one queue, provisioned and removed with its workers."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import PART_OF
from settings.workers import DEFAULT_QUEUE, WorkerSettings

# Key of the nodes' label and taint. Workers select and tolerate it: components/airflow/values.py.
LABEL = "airflow-platform/nodes"
DRAIN_MARGIN_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class WorkerNodesArgs:
    queues: Mapping[str, WorkerSettings]


def node_label(queue: str) -> str:
    """Value of the label and of the taint of a queue's nodes."""
    return "workers" if queue == DEFAULT_QUEUE else f"workers-{queue}"


def taint(queue: str) -> dict[str, str]:
    return {"key": LABEL, "value": node_label(queue), "effect": "NoSchedule"}


class WorkerNodes(pulumi.ComponentResource):
    """Karpenter NodePool of EKS Auto Mode per queue; `spot` pools fall back to on-demand nodes."""

    def __init__(
        self, name: str, args: WorkerNodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:WorkerNodes", name, None, opts)

        for queue, workers in args.queues.items():
            # https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html
            k8s.apiextensions.CustomResource(
                f"{name}-pool" if queue == DEFAULT_QUEUE else f"{name}-pool-{queue}",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=meta.ObjectMetaArgs(name=f"airflow-{node_label(queue)}", labels=PART_OF),
                spec={
                    "template": {
                        "metadata": {"labels": {LABEL: node_label(queue)}},
                        "spec": {
                            "nodeClassRef": {
                                "group": "eks.amazonaws.com",
                                "kind": "NodeClass",
                                "name": "default",
                            },
                            "taints": [taint(queue)],
                            "requirements": [
                                {
                                    "key": "karpenter.sh/capacity-type",
                                    "operator": "In",
                                    "values": ["spot", "on-demand"]
                                    if workers.spot
                                    else ["on-demand"],
                                },
                                {
                                    "key": "eks.amazonaws.com/instance-category",
                                    "operator": "In",
                                    "values": ["c", "m", "r"],
                                },
                                {
                                    "key": "kubernetes.io/arch",
                                    "operator": "In",
                                    "values": [workers.architecture],
                                },
                            ],
                            # A node drain waits for running tasks as long as a worker does.
                            "terminationGracePeriod": (
                                f"{workers.grace_seconds + DRAIN_MARGIN_SECONDS}s"
                            ),
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
