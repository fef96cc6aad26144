"""What Airflow runs on: AWS from the network up, or an existing cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.aws.cluster import Cluster, ClusterArgs
from components.aws.database import Database, DatabaseArgs
from components.aws.existing_network import ExistingNetwork, ExistingNetworkArgs
from components.aws.image_cache import PullThroughCache, PullThroughCacheArgs
from components.aws.logs import Logs, LogsArgs
from components.aws.network import Network, NetworkArgs
from components.aws.nodes import Nodes, NodesArgs
from components.kubernetes.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.kubernetes.load_balancer import ACCESS_LOGS, LoadBalancer, LoadBalancerArgs
from components.kubernetes.namespace import Namespace, NamespaceArgs
from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from settings import Secrets, Settings
from settings.cluster import EksSettings, ExistingClusterSettings, cluster_name
from settings.database import ContainerDatabaseSettings, RdsSettings
from settings.network import ExistingNetworkSettings, NetworkSettings
from settings.rds_ca import RDS_CA
from settings.tags import default_tags


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A cluster with a namespace and a database. Fields with a default exist on AWS only."""

    provider: k8s.Provider
    kubeconfig: pulumi.Output[str] | None = None
    namespace: pulumi.Output[str]
    # Resources that must exist before Airflow and outlive it.
    parts: Sequence[pulumi.Resource]
    # File in values/.
    values: str
    database_host: pulumi.Input[str]
    database_password: pulumi.Output[str]
    # CA bundle (PEM) of the database, if it uses TLS.
    database_ca: str | None = None
    log_bucket: pulumi.Output[str] | None = None
    log_region: pulumi.Output[str] | None = None
    # Address ranges of the load balancer.
    load_balancer_cidrs: Sequence[str] = ()
    cluster_name: pulumi.Output[str] | None = None
    # Each queue's workers have dedicated nodes.
    own_nodes: bool = False


def declare(stack: Settings, secrets: Secrets) -> Platform:
    """Declare the platform that `cluster.kind` selects."""
    match stack.cluster, stack.network, stack.database:
        case (
            EksSettings() as eks,
            NetworkSettings() | ExistingNetworkSettings() as network,
            RdsSettings() as rds,
        ):
            return _on_aws(eks, network, rds, stack, secrets)
        case ExistingClusterSettings() as cluster, None, ContainerDatabaseSettings() as database:
            return _on_existing_cluster(cluster, database, stack, secrets)
        case other:
            raise ValueError(f"unchecked settings: {other}")


def _on_aws(
    cluster_settings: EksSettings,
    network_settings: NetworkSettings | ExistingNetworkSettings,
    database_settings: RdsSettings,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """New or existing VPC, EKS Auto Mode, RDS, and an S3 bucket for task logs."""
    tags = default_tags()
    network = _network(network_settings)
    cluster = Cluster(
        "cluster",
        ClusterArgs(
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            name=cluster_name(cluster_settings, pulumi.get_stack()),
            log_retention_days=stack.logs.retention_days,
            tags=tags,
            settings=cluster_settings,
        ),
        # Nodes need routes and NAT until the last of them is deleted.
        opts=pulumi.ResourceOptions(depends_on=[network]),
    )
    database = Database(
        "database",
        DatabaseArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            client_security_group_id=cluster.node_security_group_id,
            password=secrets.database_password,
            password_rotation=stack.rotation.database,
            log_retention_days=stack.logs.retention_days,
            settings=database_settings,
        ),
    )
    nodes = Nodes(
        "nodes",
        NodesArgs(
            cluster_name=cluster.name,
            security_group_id=cluster.node_security_group_id,
            subnet_ids=network.private_subnet_ids,
            architecture=cluster_settings.architecture,
            queues=stack.all_queues,
            tags=tags,
        ),
        # The cluster's role must be allowed to set the tags.
        opts=pulumi.ResourceOptions(provider=cluster.provider, depends_on=[cluster]),
    )
    namespace = Namespace(
        "namespace",
        NamespaceArgs(grace_seconds=stack.longest_grace_seconds),
        # While it has pods, there are nodes, which pull images from the cache.
        opts=pulumi.ResourceOptions(
            provider=cluster.provider, depends_on=[nodes, *_image_cache(stack)]
        ),
    )
    ingress = stack.airflow.ingress
    logs = Logs(
        "logs",
        LogsArgs(
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            namespace=namespace.name,
            queues=stack.all_queues,
            access_logs=ACCESS_LOGS if ingress is not None and ingress.access_logs else None,
            settings=stack.logs,
        ),
    )
    parts: list[pulumi.Resource] = [network, cluster, database, nodes, namespace, logs]
    if ingress is not None:
        args = LoadBalancerArgs(
            settings=ingress,
            tags=tags,
            access_log_bucket=logs.access_log_bucket if ingress.access_logs else None,
        )
        opts = pulumi.ResourceOptions(provider=cluster.provider, depends_on=[cluster])
        parts.append(LoadBalancer("load-balancer", args, opts=opts))
    return Platform(
        provider=cluster.provider,
        kubeconfig=cluster.kubeconfig,
        namespace=namespace.name,
        parts=parts,
        values="aws.yaml",
        database_host=database.host,
        database_password=database.password,
        database_ca=Path(database_settings.ca_file or RDS_CA).read_text(),
        log_bucket=logs.bucket,
        log_region=logs.region,
        load_balancer_cidrs=network.cidrs,
        cluster_name=cluster.name,
        own_nodes=True,
    )


def _network(settings: NetworkSettings | ExistingNetworkSettings) -> Network | ExistingNetwork:
    if isinstance(settings, ExistingNetworkSettings):
        return ExistingNetwork("network", ExistingNetworkArgs(settings=settings))
    return Network("network", NetworkArgs(settings=settings))


def _image_cache(stack: Settings) -> list[PullThroughCache]:
    cache = stack.image_cache(pulumi.get_stack())
    if cache is None:
        return []
    args = PullThroughCacheArgs(cache=cache, images=stack.server_images)
    return [PullThroughCache("image-cache", args)]


def _on_existing_cluster(
    cluster_settings: ExistingClusterSettings,
    database_settings: ContainerDatabaseSettings,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """A kubeconfig context, and PostgreSQL in a pod. Task logs: in the pods, or as `logs.bucket` says."""
    cluster = ExistingCluster("cluster", ExistingClusterArgs(settings=cluster_settings))
    in_cluster = pulumi.ResourceOptions(provider=cluster.provider)
    namespace = Namespace(
        "namespace", NamespaceArgs(grace_seconds=stack.longest_grace_seconds), opts=in_cluster
    )
    database = DatabaseContainer(
        "database",
        DatabaseContainerArgs(
            namespace=namespace.name,
            password=secrets.database_password,
            password_rotation=stack.rotation.database,
            keda_namespace=stack.keda.namespace if stack.needs_keda else None,
            settings=database_settings,
        ),
        opts=in_cluster,
    )
    return Platform(
        provider=cluster.provider,
        namespace=namespace.name,
        parts=[database, namespace],
        values="local.yaml",
        database_host=database.host,
        database_password=database.password,
    )
