"""Nodes of EKS Auto Mode: their IAM role, their NodeClass, and one NodePool per purpose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.aws.partition import access_policy, ec2_principal, managed_policy
from components.aws.policy import policy_document
from components.kubernetes.namespace import PART_OF
from settings import sizing
from settings.types import Architecture
from settings.workers import DEFAULT_QUEUE, WorkerSettings

# https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html
ROLE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
ACCESS_POLICY = "AmazonEKSAutoNodePolicy"

CLASS = "airflow"
PLATFORM_POOL = "airflow-platform"
# Key of the workers' nodes' label and taint. Workers select and tolerate it:
# components/airflow/values.py.
LABEL = "airflow-platform/nodes"
DRAIN_MARGIN_SECONDS = 300
# Longer than the grace period of every pod that is no worker.
PLATFORM_DRAIN_SECONDS = 900
# On top of the drain: the end of the instances.
DELETE_MARGIN_SECONDS = 600
# EKS checks a NodeClass within seconds; IAM takes up to minutes to know a new role.
READY_TIMEOUT = "300s"
# Pulumi then waits, and fails with the reason in the status of the object.
WAIT_UNTIL_READY = {"pulumi.com/waitFor": "condition=Ready"}


def _requirement(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


# As the built-in pools: without it, nodes may be c4, m4 and r4, of 2015.
# https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
CURRENT_GENERATION = _requirement("eks.amazonaws.com/instance-generation", "Gt", "4")
GENERAL_PURPOSE = (
    _requirement("eks.amazonaws.com/instance-category", "In", "c", "m", "r"),
    CURRENT_GENERATION,
)


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    cluster_name: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    # With a route to the Internet through NAT: nodes have no public address.
    subnet_ids: Sequence[pulumi.Input[str]]
    # Of the nodes of all pods except workers.
    architecture: Architecture
    queues: Mapping[str, WorkerSettings]
    tags: Mapping[str, str]


def node_label(queue: str) -> str:
    """Value of the label and of the taint of a queue's nodes."""
    return "workers" if queue == DEFAULT_QUEUE else f"workers-{queue}"


def taint(queue: str) -> dict[str, str]:
    return {"key": LABEL, "value": node_label(queue), "effect": "NoSchedule"}


class Nodes(pulumi.ComponentResource):
    """Nodes in private subnets. The workers of each queue have dedicated ones."""

    def __init__(
        self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        formerly = pulumi.Alias(name="worker-nodes", type_="airflow:k8s:WorkerNodes")
        opts = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(aliases=[formerly]), opts)
        super().__init__("airflow:aws:Nodes", name, None, opts)

        role = self._role(name)
        join = self._access(name, args.cluster_name, role)
        node_class = k8s.apiextensions.CustomResource(
            f"{name}-class",
            api_version="eks.amazonaws.com/v1",
            kind="NodeClass",
            metadata=meta.ObjectMetaArgs(name=CLASS, labels=PART_OF, annotations=WAIT_UNTIL_READY),
            spec=_class_spec(args, role),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=join,
                custom_timeouts=pulumi.CustomTimeouts(create=READY_TIMEOUT, update=READY_TIMEOUT),
            ),
        )
        pools = [
            _pool(
                f"{name}-platform",
                PLATFORM_POOL,
                _template(
                    architecture=args.architecture,
                    instances=GENERAL_PURPOSE,
                    capacity_types=["on-demand"],
                    drain_seconds=PLATFORM_DRAIN_SECONDS,
                ),
                drain_seconds=PLATFORM_DRAIN_SECONDS,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[node_class]),
            )
        ]
        for queue, workers in args.queues.items():
            # A node drain waits for running tasks as long as a worker does.
            drain_seconds = workers.grace_seconds + DRAIN_MARGIN_SECONDS
            template = _template(
                architecture=workers.architecture,
                instances=_instances(workers),
                # `spot` pools fall back to on-demand nodes.
                capacity_types=["spot", "on-demand"] if workers.spot else ["on-demand"],
                drain_seconds=drain_seconds,
            )
            template["metadata"] = {"labels": {LABEL: node_label(queue)}}
            template["spec"]["taints"] = [taint(queue)]
            pools.append(
                _pool(
                    f"{name}-pool" if queue == DEFAULT_QUEUE else f"{name}-pool-{queue}",
                    f"airflow-{node_label(queue)}",
                    template,
                    drain_seconds=drain_seconds,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[node_class]),
                )
            )
        # Source of the CPU metrics of the workers' HPA. It runs on these nodes.
        aws.eks.Addon(
            f"{name}-metrics-server",
            cluster_name=args.cluster_name,
            addon_name="metrics-server",
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=pools,
                aliases=[
                    pulumi.Alias(
                        name="cluster-metrics-server",
                        parent=pulumi.create_urn("cluster", "airflow:aws:Cluster"),
                    )
                ],
            ),
        )
        self.register_outputs({})

    def _role(self, name: str) -> aws.iam.Role:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": ec2_principal(self)},
            "Action": ["sts:AssumeRole"],
        }
        return aws.iam.Role(
            f"{name}-role",
            assume_role_policy=policy_document([statement]),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _access(
        self, name: str, cluster_name: pulumi.Input[str], role: aws.iam.Role
    ) -> list[pulumi.Resource]:
        """What a node needs to join the cluster and to pull images of ECR.

        https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html#auto-node-access-entry
        """
        child = pulumi.ResourceOptions(parent=self)
        attached: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=managed_policy(self, policy),
                opts=child,
            )
            for policy in ROLE_POLICIES
        ]
        entry = aws.eks.AccessEntry(
            f"{name}-access",
            cluster_name=cluster_name,
            principal_arn=role.arn,
            type="EC2",
            opts=child,
        )
        policy = aws.eks.AccessPolicyAssociation(
            f"{name}-access",
            cluster_name=cluster_name,
            principal_arn=entry.principal_arn,
            policy_arn=access_policy(self, ACCESS_POLICY),
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=child,
        )
        return [*attached, entry, policy]


def _class_spec(args: NodesArgs, role: aws.iam.Role) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html#auto-node-class-spec"""
    spec: dict[str, Any] = {
        "role": role.name,
        "subnetSelectorTerms": [{"id": id_} for id_ in args.subnet_ids],
        "securityGroupSelectorTerms": [{"id": args.security_group_id}],
        "ephemeralStorage": {"size": f"{sizing.node_disk_gb(args.queues.values())}Gi"},
        # `DefaultDeny` would need policies for every pod of every namespace, for egress too:
        # docs/adr/0019-own-node-class.md.
        "networkPolicy": "DefaultAllow",
    }
    if args.tags:
        spec["tags"] = dict(args.tags)
    return spec


def _template(
    *,
    architecture: Architecture,
    instances: Sequence[Mapping[str, Any]],
    capacity_types: list[str],
    drain_seconds: int,
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html"""
    return {
        "spec": {
            "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": CLASS},
            "requirements": [
                _requirement("karpenter.sh/capacity-type", "In", *capacity_types),
                *instances,
                _requirement("kubernetes.io/arch", "In", architecture),
            ],
            "terminationGracePeriod": f"{drain_seconds}s",
        }
    }


def _instances(workers: WorkerSettings) -> Sequence[Mapping[str, Any]]:
    """Requirements for the instances of a queue.

    https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html#auto-supported-labels
    """
    if workers.instance_families is not None:
        return [_requirement("eks.amazonaws.com/instance-family", "In", *workers.instance_families)]
    if workers.gpu:
        return [
            _requirement("eks.amazonaws.com/instance-category", "In", "g", "p"),
            _requirement("eks.amazonaws.com/instance-gpu-manufacturer", "In", "nvidia"),
            CURRENT_GENERATION,
        ]
    return GENERAL_PURPOSE


def _pool(
    resource_name: str,
    pool_name: str,
    template: dict[str, Any],
    *,
    drain_seconds: int,
    opts: pulumi.ResourceOptions,
) -> k8s.apiextensions.CustomResource:
    # Pulumi's deletion waits for the NodeClaims of the pool, which end with their instances.
    timeouts = pulumi.CustomTimeouts(
        create=READY_TIMEOUT,
        update=READY_TIMEOUT,
        delete=f"{drain_seconds + DELETE_MARGIN_SECONDS}s",
    )
    return k8s.apiextensions.CustomResource(
        resource_name,
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata=meta.ObjectMetaArgs(name=pool_name, labels=PART_OF, annotations=WAIT_UNTIL_READY),
        spec={
            "template": template,
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "60s",
            },
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(custom_timeouts=timeouts)),
    )
