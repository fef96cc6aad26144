"""What Airflow runs on: AWS from the network up, or an existing cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.aws.cluster import Cluster, ClusterArgs
from components.aws.database import Database, DatabaseArgs
from components.aws.logs import Logs, LogsArgs
from components.aws.network import Network, NetworkArgs
from components.kubernetes.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.kubernetes.load_balancer import LoadBalancer, LoadBalancerArgs
from components.kubernetes.namespace import Namespace, NamespaceArgs
from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from components.kubernetes.worker_nodes import WorkerNodes, WorkerNodesArgs
from settings import Secrets, Settings
from settings.cluster import EksSettings, ExistingClusterSettings
from settings.database import ContainerDatabaseSettings, RdsSettings
from settings.network import NetworkSettings

RDS_CA = Path(__file__).parent / "aws" / "rds_ca.pem"


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
    load_balancer_cidr: str | None = None
    cluster_name: pulumi.Output[str] | None = None
    # Each queue's workers have dedicated nodes.
    own_nodes: bool = False


def declare(stack: Settings, secrets: Secrets) -> Platform:
    """Declare the platform that `cluster.kind` selects."""
    match stack.cluster, stack.network, stack.database:
        case EksSettings() as eks, NetworkSettings() as network, RdsSettings() as rds:
            return _on_aws(eks, network, rds, stack, secrets)
        case ExistingClusterSettings() as cluster, None, ContainerDatabaseSettings() as database:
            return _on_existing_cluster(cluster, database, stack, secrets)
        case other:
            raise ValueError(f"unchecked settings: {other}")


def _on_aws(
    cluster_settings: EksSettings,
    network_settings: NetworkSettings,
    database_settings: RdsSettings,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """VPC, EKS Auto Mode, RDS, and an S3 bucket for task logs."""
    network = Network("network", NetworkArgs(settings=network_settings))
    cluster = Cluster(
        "cluster",
        ClusterArgs(
            vpc_id=network.vpc_id,
            public_subnet_ids=network.public_subnet_ids,
            private_subnet_ids=network.private_subnet_ids,
            settings=cluster_settings,
        ),
    )
    in_cluster = pulumi.ResourceOptions(provider=cluster.provider)
    database = Database(
        "database",
        DatabaseArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            client_security_group_id=cluster.node_security_group_id,
            password=secrets.database_password,
            password_rotation=stack.rotation.database,
            settings=database_settings,
        ),
    )
    namespace = Namespace(
        "namespace", NamespaceArgs(grace_seconds=stack.longest_grace_seconds), opts=in_cluster
    )
    logs = Logs(
        "logs",
        LogsArgs(
            cluster_name=cluster.name,
            namespace=namespace.name,
            queues=stack.all_queues,
            settings=stack.logs,
        ),
    )
    nodes = WorkerNodes("worker-nodes", WorkerNodesArgs(queues=stack.all_queues), opts=in_cluster)
    parts: list[pulumi.Resource] = [network, cluster, database, namespace, logs, nodes]
    if stack.airflow.ingress is not None:
        args = LoadBalancerArgs(settings=stack.airflow.ingress)
        parts.append(LoadBalancer("load-balancer", args, opts=in_cluster))
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
        load_balancer_cidr=network_settings.cidr,
        cluster_name=cluster.name,
        own_nodes=True,
    )


def _on_existing_cluster(
    cluster_settings: ExistingClusterSettings,
    database_settings: ContainerDatabaseSettings,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """A kubeconfig context, PostgreSQL in a pod, and task logs in the pods."""
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
