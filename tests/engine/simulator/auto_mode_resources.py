"""What EKS Auto Mode makes in the account for objects of the cluster.

Network interfaces of nodes, EBS volumes of PersistentVolumes, and load balancers of Ingresses. They
follow their objects while the cluster exists; without it they stay, except the interfaces of nodes:
https://docs.aws.amazon.com/eks/latest/userguide/auto-disable.html
"""

import hashlib
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.ec2.models import ec2_backends
from moto.eks.models import Cluster, EKSBackend, eks_backends
from moto.elbv2.models import elbv2_backends
from moto.logs.models import LogsBackend, logs_backends

Objects = Callable[[str], list[dict[str, Any]]]
INGRESS_CLASS = "airflow"
STORAGE_CLASS = "gp3"
# Auto Mode puts it on everything that it makes in the account:
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEKSBlockStoragePolicyV2.html
CLUSTER_TAG = "eks:eks-cluster-name"
OBJECT_TAG = "simulated/object"
NODES = "nodeclaims.karpenter.sh"


class AutoMode:
    """`objects` lists the objects of a kind in the cluster. One cluster at a time has objects."""

    def __init__(self, account: str, region: str, objects: Objects) -> None:
        self.account = account
        self.objects = objects
        self._syncs = threading.Lock()
        self.enter(region)

    def enter(self, region: str) -> None:
        """Work in this Region from now on."""
        self.eks = eks_backends[self.account][region]
        self.ec2 = ec2_backends[self.account][region]
        self.elb = elbv2_backends[self.account][region]

    def sync(self) -> None:
        """Create what new objects need, and delete what belongs to deleted objects."""
        with self._syncs:
            for cluster in list(self.eks.clusters.values()):
                if "clusterSecurityGroupId" not in cluster.resources_vpc_config:
                    continue  # another thread is creating it
                self._volumes(cluster)
                self._load_balancers(cluster)
                self._nodes(cluster)

    def end_nodes(self, cluster: Cluster) -> bool:
        """End the nodes of a cluster that is being deleted. Whether it had nodes."""
        self.sync()
        interfaces = self._interfaces(cluster, NODES)
        for interface in interfaces.values():
            self.ec2.delete_network_interface(interface.id)
        return bool(interfaces)

    def _volumes(self, cluster: Cluster) -> None:
        wanted = {
            volume["metadata"]["name"]: volume["spec"]
            .get("claimRef", {})
            .get("namespace", "airflow")
            for volume in self.objects("persistentvolumes")
            if volume["spec"].get("storageClassName") == STORAGE_CLASS
        }
        present = {
            tags[OBJECT_TAG]: volume
            for volume in self.ec2.volumes.values()
            if (tags := _tags(volume)).get(CLUSTER_TAG) == cluster.name
        }
        for name in wanted.keys() - present.keys():
            zone = self._subnet(cluster).availability_zone
            volume = self.ec2.create_volume(size=8, zone_name=zone, volume_type="gp3")
            of = {"kubernetes.io/created-for/pvc/namespace": wanted[name]}
            volume.add_tags({CLUSTER_TAG: cluster.name, OBJECT_TAG: name, **of})
        for name in present.keys() - wanted.keys():
            self.ec2.delete_volume(present[name].id)

    def _load_balancers(self, cluster: Cluster) -> None:
        wanted = {
            f"{ingress['metadata']['namespace']}/{ingress['metadata']['name']}"
            for ingress in self.objects("ingresses.networking.k8s.io")
            if ingress["spec"].get("ingressClassName") == INGRESS_CLASS
        }
        present = {
            tags[OBJECT_TAG]: arn
            for arn in self.elb.load_balancers
            if (tags := self.elb.describe_tags([arn])[arn]).get(CLUSTER_TAG) == cluster.name
        }
        for name in wanted - present.keys():
            self._create_load_balancer(cluster, name)
        for name in present.keys() - wanted:
            self.elb.delete_load_balancer(present[name])
            for group in self._groups(cluster, name):
                self.ec2.delete_security_group(group_id=group.id)

    def _create_load_balancer(self, cluster: Cluster, name: str) -> None:
        # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEKSLoadBalancingPolicy.html
        tags = {
            CLUSTER_TAG: cluster.name,
            OBJECT_TAG: name,
            "ingress.eks.amazonaws.com/stack": name,
        }
        short = f"k8s-{name.replace('/', '-')[:18]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        group = self.ec2.create_security_group(
            name=short,
            description="[k8s] Managed SecurityGroup for LoadBalancer",
            vpc_id=self._subnet(cluster).vpc_id,
            tags={**tags, "ingress.eks.amazonaws.com/resource": "ManagedLBSecurityGroup"},
        )
        scheme = self._scheme()
        created = self.elb.create_load_balancer(
            name=short,
            security_groups=[group.id],
            subnet_ids=[self._subnet(cluster).id],
            scheme=scheme,
            tags=[
                {"Key": key, "Value": value}
                for key, value in {
                    **tags,
                    "ingress.eks.amazonaws.com/resource": "LoadBalancer",
                }.items()
            ],
        )
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
        if scheme == "internal":
            created.dns_name = f"internal-{created.dns_name}"

    def _scheme(self) -> str:
        parameters = self.objects("ingressclassparams.eks.amazonaws.com")
        return next((p["spec"]["scheme"] for p in parameters if "scheme" in p["spec"]), "internal")

    def _nodes(self, cluster: Cluster) -> None:
        # The simulated Kubernetes has no nodes of the built-in pools, but AWS does.
        built_in = cluster.compute_config.get("nodePools") or []  # type: ignore[attr-defined]
        wanted = {claim["metadata"]["name"] for claim in self.objects(NODES)} | set(built_in)
        present = self._interfaces(cluster, NODES)
        for name in wanted - present.keys():
            interface = self.ec2.create_network_interface(
                self._subnet(cluster),
                private_ip_address=[],
                group_ids=[cluster.resources_vpc_config["clusterSecurityGroupId"]],
                description=f"node {name}",
            )
            interface.add_tags({CLUSTER_TAG: cluster.name, OBJECT_TAG: name, "simulated/of": NODES})
        for name in present.keys() - wanted:
            self.ec2.delete_network_interface(present[name].id)

    def _interfaces(self, cluster: Cluster, of: str) -> dict[str, Any]:
        return {
            tags[OBJECT_TAG]: interface
            for interface in self.ec2.enis.values()
            if (tags := _tags(interface)).get(CLUSTER_TAG) == cluster.name
            and tags.get("simulated/of") == of
        }

    def _groups(self, cluster: Cluster, name: str) -> list[Any]:
        wanted = {CLUSTER_TAG: cluster.name, OBJECT_TAG: name}.items()
        found = [group for groups in self.ec2.groups.values() for group in groups.values()]
        return [group for group in found if wanted <= _tags(group).items()]

    def _subnet(self, cluster: Cluster) -> Any:
        return self.ec2.get_subnet(cluster.resources_vpc_config["subnetIds"][0])


class LateLogs:
    """Last log events of a deleted cluster: EKS writes them after the deletion of its log group.

    It creates the group again, without retention: https://github.com/aws/eks-hybrid/pull/359
    """

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.enabled = False
        self.enter(region)

    def enter(self, region: str) -> None:
        self.logs = logs_backends[self.account][region]
        self.pending: set[str] = set()

    def enable(self) -> None:
        self.enabled = True

    def cluster_deleted(self, cluster: Cluster) -> None:
        if self.enabled and _is_logged(cluster):
            name = f"/aws/eks/{cluster.name}/cluster"
            self.pending.add(name)
            self.write(name)

    def write(self, name: str) -> None:
        """Write the last events if their group does not exist."""
        if name in self.pending and name not in self.logs.groups:
            self.pending.discard(name)
            self.logs.create_log_group(name, {})


def install(auto_mode: AutoMode, late: LateLogs, patches: ExitStack) -> None:
    """Patch the deletion of clusters and of log groups."""
    delete_cluster, delete_log_group = EKSBackend.delete_cluster, LogsBackend.delete_log_group

    @wraps(delete_cluster)
    def cluster_deleted(backend: EKSBackend, name: str) -> Cluster:
        cluster = backend.clusters.get(name)
        if cluster is not None:
            cluster.ended_nodes = auto_mode.end_nodes(cluster)  # type: ignore[attr-defined]
        deleted = delete_cluster(backend, name)
        late.cluster_deleted(deleted)
        return deleted

    @wraps(delete_log_group)
    def log_group_deleted(backend: LogsBackend, log_group_name: str) -> None:
        delete_log_group(backend, log_group_name)
        late.write(log_group_name)

    patches.enter_context(patch.object(EKSBackend, "delete_cluster", cluster_deleted))
    patches.enter_context(patch.object(LogsBackend, "delete_log_group", log_group_deleted))


def _is_logged(cluster: Cluster) -> bool:
    kinds: Any = cluster.logging or {}
    return any(kind.get("enabled") for kind in kinds.get("clusterLogging", []))


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}
