"""EKS Auto Mode cluster: EKS manages nodes, volumes, load balancers and DNS."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from settings.cluster import EksSettings

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    vpc_id: pulumi.Input[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    settings: EksSettings


class Cluster(pulumi.ComponentResource):
    """EKS cluster that only IAM roles with an access entry can administer."""

    name: pulumi.Output[str]
    node_security_group_id: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    provider: k8s.Provider

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        key = aws.kms.Key(
            f"{name}-secrets",
            description="Envelope encryption of Kubernetes Secrets",
            enable_key_rotation=True,
            tags={"Name": f"{name}-secrets"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.settings.protect),
        )
        cluster = eks.Cluster(
            f"{name}-eks",
            vpc_id=args.vpc_id,
            public_subnet_ids=args.public_subnet_ids,
            private_subnet_ids=args.private_subnet_ids,
            version=args.settings.version,
            auto_mode=eks.AutoModeOptionsArgs(enabled=True),
            # Auto Mode brings its own node role, DNS and kube-proxy.
            create_instance_role=False,
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False),
            authentication_mode=eks.AuthenticationMode.API,
            access_entries={
                f"admin-{index}": eks.AccessEntryArgs(
                    principal_arn=arn,
                    access_policies={
                        "admin": eks.AccessPolicyAssociationArgs(
                            policy_arn=ADMIN_POLICY,
                            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(
                                type="cluster"
                            ),
                        )
                    },
                )
                for index, arn in enumerate(args.settings.admin_role_arns)
            },
            endpoint_private_access=True,
            endpoint_public_access=not args.settings.private_endpoint,
            public_access_cidrs=list(args.settings.public_access_cidrs) or None,
            encryption_config_key_arn=key.arn,
            enabled_cluster_log_types=[
                "api",
                "audit",
                "authenticator",
                "controllerManager",
                "scheduler",
            ],
            # Pods get their AWS permissions through Pod Identity, which needs no OIDC provider.
            create_oidc_provider=False,
            deletion_protection=args.settings.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.settings.protect),
        )
        self.name = cluster.eks_cluster.name
        # Auto Mode nodes use the security group that EKS creates, not the one of pulumi-eks.
        self.node_security_group_id = cluster.eks_cluster.vpc_config.cluster_security_group_id
        # Not a secret: it calls `aws eks get-token`, which needs AWS credentials.
        self.kubeconfig = cluster.kubeconfig_json
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            # Update in place: a replacement would delete them for a moment.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=child,
        )
        in_cluster = pulumi.ResourceOptions(parent=self, provider=self.provider)

        # Source of the CPU metrics of the workers' HPA.
        aws.eks.Addon(
            f"{name}-metrics-server",
            cluster_name=self.name,
            addon_name="metrics-server",
            opts=child,
        )
        # Off by default: https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html
        k8s.core.v1.ConfigMap(
            f"{name}-network-policies",
            metadata=meta.ObjectMetaArgs(name="amazon-vpc-cni", namespace="kube-system"),
            data={"enable-network-policy-controller": "true"},
            opts=in_cluster,
        )
        # Auto Mode creates no StorageClass:
        # https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html
        k8s.storage.v1.StorageClass(
            f"{name}-storage",
            metadata=meta.ObjectMetaArgs(
                name="gp3",
                annotations={"storageclass.kubernetes.io/is-default-class": "true"},
            ),
            provisioner="ebs.csi.eks.amazonaws.com",
            parameters={"type": "gp3", "encrypted": "true"},
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=in_cluster,
        )
        self.register_outputs({"name": self.name})
