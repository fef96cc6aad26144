"""What Airflow runs on: AWS from the network up, or an existing cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.airflow import xcom_bucket
from components.aws.cluster import Cluster, ClusterArgs
from components.aws.database import Database, DatabaseArgs, admit
from components.aws.existing_network import ExistingNetwork, ExistingNetworkArgs
from components.aws.image_cache import PullThroughCache, PullThroughCacheArgs
from components.aws.logs import Logs, LogsArgs
from components.aws.network import Network, NetworkArgs
from components.aws.nodes import Nodes, NodesArgs
from components.aws.recovery_region import RecoveryRegion, RecoveryRegionArgs
from components.kubernetes.existing_cluster import ExistingCluster, ExistingClusterArgs
from components.kubernetes.load_balancer import ACCESS_LOGS, LoadBalancer, LoadBalancerArgs
from components.kubernetes.namespace import Namespace, NamespaceArgs
from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from components.support.database_login import DatabaseLogin
from settings import Secrets, Settings
from settings.cluster import EksSettings, ExistingClusterSettings, cluster_name
from settings.database import (
    ContainerDatabaseSettings,
    ExistingDatabaseSettings,
    RdsSettings,
    database_identifier,
    dump_prefix,
)
from settings.network import ExistingNetworkSettings, NetworkSettings
from settings.proxy import ON_NODE
from settings.rds_ca import RDS_CA
from settings.tags import default_tags


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A cluster with a namespace and a database. Fields with a default exist on AWS only."""

    provider: k8s.Provider
    kubeconfig: pulumi.Output[str] | None = None
    namespace: pulumi.Output[str]
    # Secret with the login to a private registry.
    pull_secret: pulumi.Input[str] | None
    # Resources that must exist before Airflow and outlive it.
    parts: Sequence[pulumi.Resource]
    # Files in values/; later files override earlier ones.
    value_files: Sequence[str]
    database: DatabaseLogin
    # Of the RDS instance of this program.
    database_arn: pulumi.Output[str] | None = None
    log_bucket: pulumi.Output[str] | None = None
    log_region: pulumi.Output[str] | None = None
    # Address ranges of the load balancer.
    load_balancer_cidrs: Sequence[str] = ()
    # Addresses and networks that pods reach without a proxy, beside those of the cluster.
    no_proxy: Sequence[str] = ()
    cluster_name: pulumi.Output[str] | None = None
    # Each queue's workers have dedicated nodes.
    own_nodes: bool = False


def declare(stack: Settings, secrets: Secrets) -> Platform:
    """Declare the platform that `cluster.kind` selects."""
    match stack.cluster, stack.network:
        case EksSettings() as eks, NetworkSettings() | ExistingNetworkSettings() as network:
            return _on_aws(eks, network, stack, secrets)
        case ExistingClusterSettings() as cluster, ExistingNetworkSettings() | None as network:
            return _on_existing_cluster(cluster, network, stack, secrets)
        case other:
            raise ValueError(f"unchecked settings: {other}")


def _on_aws(
    cluster_settings: EksSettings,
    network_settings: NetworkSettings | ExistingNetworkSettings,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """New or existing VPC, EKS Auto Mode, RDS or an existing database, and S3 for task logs."""
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
    match stack.database:
        case RdsSettings() as settings:
            rds = _rds(
                settings,
                vpc_id=network.vpc_id,
                subnet_ids=network.private_subnet_ids,
                node_security_group_id=cluster.node_security_group_id,
                stack=stack,
                secrets=secrets,
            )
            database, database_arn = rds.login, rds.arn
            before = [network, cluster, rds]
        case ExistingDatabaseSettings() as settings:
            database, database_arn = _existing_database(settings, secrets), None
            before = [network, cluster]
            if settings.security_group_id is not None:
                admit(
                    "database",
                    settings.security_group_id,
                    cluster.node_security_group_id,
                    port=settings.port,
                    opts=pulumi.ResourceOptions(parent=cluster),
                )
        case other:
            raise ValueError(f"unchecked settings: {other}")
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
        _namespace_args(stack, secrets),
        # While it has pods, there are nodes, which pull images from the cache.
        opts=pulumi.ResourceOptions(
            provider=cluster.provider, depends_on=[nodes, *_image_cache(stack)]
        ),
    )
    ingress = stack.airflow.ingress
    value_files = _value_files("aws.yaml", database)
    logs = Logs(
        "logs",
        LogsArgs(
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            namespace=namespace.name,
            queues=stack.all_queues,
            component_policies=stack.airflow.iam_policy_arns,
            access_logs=ACCESS_LOGS if ingress is not None and ingress.access_logs else None,
            xcom_days=xcom_bucket.retention_days(value_files)
            if stack.airflow.xcom_bucket
            else None,
            settings=stack.logs,
        ),
    )
    parts: list[pulumi.Resource] = [*before, nodes, namespace, logs]
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
        pull_secret=namespace.pull_secret,
        parts=parts,
        value_files=value_files,
        database=database,
        database_arn=database_arn,
        log_bucket=logs.bucket,
        log_region=logs.region,
        load_balancer_cidrs=network.cidrs,
        no_proxy=[*ON_NODE, *network.cidrs],
        cluster_name=cluster.name,
        own_nodes=True,
    )


def _namespace_args(stack: Settings, secrets: Secrets) -> NamespaceArgs:
    return NamespaceArgs(
        name=stack.cluster.namespace,
        create=stack.creates_namespace,
        grace_seconds=stack.longest_grace_seconds,
        pull_secret=stack.images.pull_secret,
        pull_credentials=secrets.image_pull_credentials,
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
    network_settings: ExistingNetworkSettings | None,
    stack: Settings,
    secrets: Secrets,
) -> Platform:
    """A kubeconfig context; PostgreSQL in a pod, RDS or an existing database; logs as `logs.bucket` says."""
    cluster = ExistingCluster("cluster", ExistingClusterArgs(settings=cluster_settings))
    in_cluster = pulumi.ResourceOptions(provider=cluster.provider)
    namespace = Namespace("namespace", _namespace_args(stack, secrets), opts=in_cluster)
    parts: list[pulumi.Resource] = [namespace]
    database_arn = None
    match stack.database, network_settings:
        case ContainerDatabaseSettings() as settings, None:
            container = DatabaseContainer(
                "database",
                DatabaseContainerArgs(
                    namespace=namespace.name,
                    pull_secret=namespace.pull_secret,
                    storage_class=stack.storage_class,
                    password=secrets.database_password,
                    password_rotation=stack.rotation.database,
                    keda_namespace=stack.keda.namespace if stack.needs_keda else None,
                    dump_prefix=dump_prefix(pulumi.get_stack(), stack.airflow.version),
                    settings=settings,
                ),
                opts=in_cluster,
            )
            database = DatabaseLogin(host=container.host, password=container.password)
            parts.append(container)
        case RdsSettings() as settings, ExistingNetworkSettings() as network:
            rds = _rds(
                settings,
                vpc_id=network.vpc_id,
                subnet_ids=network.private_subnet_ids,
                node_security_group_id=None,
                stack=stack,
                secrets=secrets,
            )
            database, database_arn = rds.login, rds.arn
            parts.append(rds)
        case ExistingDatabaseSettings() as settings, None:
            database = _existing_database(settings, secrets)
        case other:
            raise ValueError(f"unchecked settings: {other}")
    return Platform(
        provider=cluster.provider,
        namespace=namespace.name,
        pull_secret=namespace.pull_secret,
        parts=parts,
        value_files=_value_files("local.yaml", database),
        database=database,
        database_arn=database_arn,
    )


def _rds(
    settings: RdsSettings,
    *,
    vpc_id: pulumi.Input[str],
    subnet_ids: Sequence[pulumi.Input[str]],
    node_security_group_id: pulumi.Input[str] | None,
    stack: Settings,
    secrets: Secrets,
) -> Database:
    return Database(
        "database",
        DatabaseArgs(
            vpc_id=vpc_id,
            subnet_ids=subnet_ids,
            node_security_group_id=node_security_group_id,
            password=secrets.database_password,
            password_rotation=stack.rotation.database,
            log_retention_days=stack.logs.retention_days,
            settings=settings,
        ),
    )


def _existing_database(settings: ExistingDatabaseSettings, secrets: Secrets) -> DatabaseLogin:
    if secrets.database_password is None:
        raise ValueError("unchecked secrets: database_password")
    return DatabaseLogin(
        host=settings.host,
        port=settings.port,
        name=settings.name,
        user=settings.user,
        password=secrets.database_password,
        ca=Path(settings.ca_file or RDS_CA).read_text() if settings.tls else None,
    )


def declare_recovery_region(
    stack: Settings, platform: Platform, fernet_keys: pulumi.Output[str]
) -> None:
    """Declare what `database.replicate_to` needs."""
    database = stack.database
    if (
        not isinstance(database, RdsSettings)
        or database.replicate_to is None
        or platform.database_arn is None
    ):
        return
    RecoveryRegion(
        "recovery-region",
        RecoveryRegionArgs(
            region=database.replicate_to,
            database_arn=platform.database_arn,
            database_name=database_identifier(database, pulumi.get_stack(), 1),
            backup_days=database.backup_days,
            fernet_keys=fernet_keys,
            protect=database.protect,
        ),
    )


def _value_files(platform: str, database: DatabaseLogin) -> list[str]:
    return ["airflow.yaml", *(["database-tls.yaml"] if database.ca else []), platform]
