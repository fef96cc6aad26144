"""EKS Auto Mode cluster: EKS manages nodes, volumes, load balancers and DNS."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.aws.partition import access_policy
from settings import limits
from settings.arns import PRINCIPAL
from settings.cluster import EksSettings

ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
IAM = ":iam::"

_OWN = {"aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"}
# The managed policies of Auto Mode refuse tags other than those of EKS.
# https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html#tag-prop
TAG_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Compute",
            "Effect": "Allow",
            "Action": ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"],
            "Resource": "*",
            "Condition": {
                "StringEquals": _OWN,
                "StringLike": {
                    "aws:RequestTag/eks:kubernetes-node-class-name": "*",
                    "aws:RequestTag/eks:kubernetes-node-pool-name": "*",
                },
            },
        },
        {
            "Sid": "Storage",
            "Effect": "Allow",
            "Action": ["ec2:CreateVolume", "ec2:CreateSnapshot"],
            "Resource": ["arn:*:ec2:*:*:volume/*", "arn:*:ec2:*:*:snapshot/*"],
            "Condition": {"StringEquals": _OWN},
        },
        {
            "Sid": "Networking",
            "Effect": "Allow",
            "Action": ["ec2:CreateNetworkInterface"],
            "Resource": "*",
            "Condition": {
                "StringEquals": _OWN,
                "StringLike": {"aws:RequestTag/eks:kubernetes-cni-node-name": "*"},
            },
        },
        {
            "Sid": "LoadBalancer",
            "Effect": "Allow",
            "Action": [
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateTargetGroup",
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:CreateRule",
                "ec2:CreateSecurityGroup",
            ],
            "Resource": "*",
            "Condition": {"StringEquals": _OWN},
        },
    ],
}


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    name: str
    log_retention_days: int
    # Of the volumes that EKS creates.
    tags: Mapping[str, str]
    settings: EksSettings


class Cluster(pulumi.ComponentResource):
    """EKS cluster that only IAM roles with an access entry can administer."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
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
        # EKS would create it without retention, and leave it behind:
        # https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
        log_groups = [
            aws.cloudwatch.LogGroup(
                f"{name}-logs",
                name=f"/aws/eks/{args.name}/cluster",
                retention_in_days=limits.cloudwatch_retention(args.log_retention_days),
                opts=child,
            )
            for _ in args.settings.log_types[:1]
        ]
        cluster = eks.Cluster(
            f"{name}-eks",
            name=args.name,
            vpc_id=args.vpc_id,
            # Auto Mode may start nodes in every subnet of the cluster. Load balancers find public
            # subnets by their tag.
            private_subnet_ids=args.private_subnet_ids,
            version=args.settings.version,
            auto_mode=_auto_mode(args.settings),
            # Auto Mode brings its own DNS and kube-proxy.
            create_instance_role=False,
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False),
            authentication_mode=eks.AuthenticationMode.API,
            endpoint_private_access=True,
            endpoint_public_access=not args.settings.private_endpoint,
            public_access_cidrs=list(args.settings.public_access_cidrs) or None,
            encryption_config_key_arn=key.arn,
            enabled_cluster_log_types=list(args.settings.log_types),
            # Pods get their AWS permissions through Pod Identity, which needs no OIDC provider.
            create_oidc_provider=False,
            deletion_protection=args.settings.protect,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.settings.protect,
                depends_on=log_groups,
                transforms=[without_entry_of_the_creator],
            ),
        )
        self.name = cluster.eks_cluster.name
        self.arn = cluster.eks_cluster.arn
        # Auto Mode nodes use the security group that EKS creates, not the one of pulumi-eks.
        self.node_security_group_id = cluster.eks_cluster.vpc_config.cluster_security_group_id
        # Not a secret: it calls `aws eks get-token`, which needs AWS credentials.
        self.kubeconfig = cluster.kubeconfig_json
        access = [
            *self._administrators(name, args.settings.admin_role_arns, cluster),
            *self._networks(name, args.settings.private_access_cidrs),
        ]
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            # Update in place: a replacement would delete them for a moment.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=access),
        )
        in_cluster = pulumi.ResourceOptions(parent=self, provider=self.provider)

        may_tag = aws.iam.RolePolicy(
            f"{name}-tags",
            # The role that pulumi-eks creates for the cluster.
            role=cluster.eks_cluster.role_arn.apply(lambda arn: arn.rpartition("/")[2]),
            policy=json.dumps(TAG_POLICY),
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
            # Kubernetes cannot change them: other tags replace the class, which no volume notices.
            parameters={"type": "gp3", "encrypted": "true", **_tag_specifications(args.tags)},
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions.merge(
                in_cluster, pulumi.ResourceOptions(depends_on=[may_tag])
            ),
        )
        self.register_outputs({"name": self.name})

    def _administrators(
        self, name: str, listed: Sequence[str], cluster: eks.Cluster
    ) -> list[pulumi.Resource]:
        """Access of the listed principals and of the caller, who creates the Kubernetes objects."""
        admin = access_policy(self, ADMIN_POLICY)
        policies: list[pulumi.Resource] = []
        for arn in dict.fromkeys([*listed, _caller(self)]):
            # Earlier releases named the entries by their position in the list.
            former = [
                pulumi.Alias(name=f"{name}-eks-admin-{index}", parent=cluster)
                for index, principal in enumerate(listed)
                if principal == arn
            ]
            entry_name = f"{name}-admin-{arn.partition(IAM)[2]}"
            entry = aws.eks.AccessEntry(
                entry_name,
                cluster_name=self.name,
                principal_arn=arn,
                opts=pulumi.ResourceOptions(parent=self, aliases=former),
            )
            policy = aws.eks.AccessPolicyAssociation(
                # With this prefix it inherits the alias of its parent.
                f"{entry_name}-admin",
                cluster_name=self.name,
                principal_arn=arn,
                policy_arn=admin,
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=pulumi.ResourceOptions(parent=entry, depends_on=entry),
            )
            policies.append(policy)
        return policies

    def _networks(self, name: str, cidrs: Sequence[str]) -> list[pulumi.Resource]:
        """Access to the private endpoint, which otherwise only the nodes reach.

        https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
        """
        return [
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-api-{cidr}",
                description="Kubernetes API from cluster.private_access_cidrs",
                security_group_id=self.node_security_group_id,
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                tags={"Name": f"{name}-api-{cidr}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            for cidr in dict.fromkeys(cidrs)
        ]


def without_entry_of_the_creator(
    args: pulumi.ResourceTransformArgs,
) -> pulumi.ResourceTransformResult | None:
    """Let no access entry exist that is not declared: a second one for a principal is refused.

    pulumi-eks has no argument for it, and ignores the change for deployed clusters:
    https://github.com/pulumi/pulumi-eks/issues/2373
    """
    if args.type_ != "aws:eks/cluster:Cluster":
        return None
    given: Any = args.props["accessConfig"]
    access = {**given, "bootstrapClusterCreatorAdminPermissions": False}
    return pulumi.ResourceTransformResult(
        props={**args.props, "accessConfig": access}, opts=args.opts
    )


def _caller(parent: pulumi.Resource) -> str:
    """The IAM role or user of the current credentials."""
    opts = pulumi.InvokeOptions(parent=parent)
    session = aws.get_caller_identity(opts=opts).arn
    # An access entry needs the role of a session, with the path that the session lacks.
    arn = aws.iam.get_session_context(arn=session, opts=opts).issuer_arn
    if not re.fullmatch(PRINCIPAL, arn):
        raise pulumi.RunError(
            f"EKS gives access only to IAM roles and users. The credentials of this shell belong to "
            f"{arn}; log in with an IAM role"
        )
    return arn


def _auto_mode(settings: EksSettings) -> eks.AutoModeOptionsArgs:
    """EKS accepts a node role only together with node pools of its own."""
    if settings.built_in_node_pools:
        return eks.AutoModeOptionsArgs(enabled=True)
    return eks.AutoModeOptionsArgs(
        enabled=True,
        create_node_role=False,
        compute_config=eks.ClusterComputeConfigArgs(node_pools=[]),
    )


def _tag_specifications(tags: Mapping[str, str]) -> dict[str, str]:
    """https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md"""
    return {
        f"tagSpecification_{number}": f"{key}={value}"
        for number, (key, value) in enumerate(sorted(tags.items()), start=1)
    }
