"""Section `cluster`: a new EKS cluster, or an existing Kubernetes cluster."""

from typing import Literal

from pydantic import Field, model_validator

from settings import versions
from settings.types import ANYWHERE, Cidr, RoleArn, Section


class EksSettings(Section):
    kind: Literal["eks"]
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
        description="Networks that may reach the private Kubernetes API endpoint, besides the nodes",
        strict=False,
    )
    admin_role_arns: tuple[RoleArn, ...] = Field(
        default=(), description="IAM roles with cluster admin access", strict=False
    )
    protect: bool = Field(default=False, description="Refuse to delete the cluster")

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
