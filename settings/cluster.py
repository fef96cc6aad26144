"""Section `cluster`: a new EKS cluster, or an existing Kubernetes cluster."""

import re
from typing import Literal

from pydantic import Field, model_validator

from settings import versions
from settings.arns import PrincipalArn
from settings.types import ANYWHERE, AirflowNamespace, Architecture, Cidr, Section

LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]

NAMESPACE = "airflow"


class EksSettings(Section):
    kind: Literal["eks"]
    # https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
    name: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$",
        description="Name of the cluster in EKS; default `airflow-<stack>`. A change replaces the "
        "cluster: a cluster of an earlier release keeps its name",
    )
    version: str = Field(
        default=versions.KUBERNETES, pattern=r"^1\.\d\d$", description="Kubernetes version"
    )
    private_endpoint: bool = Field(
        default=False,
        description="No public Kubernetes API endpoint; `make up FROM=` opens it for one command",
    )
    public_access_cidrs: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks that may reach the public Kubernetes API endpoint",
        strict=False,
    )
    private_access_cidrs: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks that may reach the private Kubernetes API endpoint, beside the nodes: "
        "a VPN, a peered VPC, or the subnet of a runner",
        strict=False,
    )
    admin_role_arns: tuple[PrincipalArn, ...] = Field(
        default=(),
        description="IAM roles and users with cluster admin access, beside the caller of `make up`",
        strict=False,
    )
    # api, controllerManager and scheduler are off by default: they are for debugging the control
    # plane, which AWS operates. Price: https://aws.amazon.com/cloudwatch/pricing/ , selection:
    # https://docs.aws.amazon.com/eks/latest/best-practices/cost-opt-observability.html
    log_types: tuple[LogType, ...] = Field(
        default=("audit", "authenticator"),
        description="Control plane logs in CloudWatch, for `logs.retention_days`; CloudWatch charges "
        "about 0.50 USD per GB",
        strict=False,
    )
    architecture: Architecture = Field(
        default="amd64", description="Architecture of the nodes of all pods except workers"
    )
    built_in_node_pools: bool = Field(
        default=False,
        description="Keep the node pools of EKS: only for a cluster that an earlier release created",
    )
    protect: bool = Field(default=False, description="Refuse to delete the cluster")
    namespace: AirflowNamespace = NAMESPACE

    @model_validator(mode="after")
    def _public_endpoint_lists_networks(self) -> "EksSettings":
        if self.private_endpoint and self.public_access_cidrs:
            raise ValueError("public_access_cidrs needs private_endpoint: false")
        if not self.private_endpoint and not self.public_access_cidrs:
            raise ValueError(
                "public_access_cidrs is required unless private_endpoint is true; list your networks, "
                f'or write ["{ANYWHERE}"] to open the endpoint to the Internet'
            )
        return self


class ExistingClusterSettings(Section):
    kind: Literal["existing"]
    context: str = Field(
        min_length=1, description="Context in your kubeconfig; the current context is never used"
    )
    storage_class: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="StorageClass of new volumes; if not set, the default class of the cluster",
    )
    namespace: AirflowNamespace = NAMESPACE
    create_namespace: bool = Field(
        default=True,
        description="`false`: an administrator has created the namespace, for a user with rights in it "
        "only (docs/clusters.md)",
    )


def cluster_name(settings: EksSettings, stack_name: str) -> str:
    """The name of the cluster in EKS, which allows no period."""
    return settings.name or f"airflow-{re.sub('[^A-Za-z0-9_-]', '-', stack_name)}"
