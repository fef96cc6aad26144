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
        default=False, description="No public Kubernetes endpoint at all: run Pulumi inside the VPC"
    )
    public_access_cidrs: tuple[Cidr, ...] = Field(
        default=(), description="Who reaches the public Kubernetes endpoint", strict=False
    )
    admin_role_arns: tuple[RoleArn, ...] = Field(
        default=(), description="IAM roles that administer the cluster", strict=False
    )
    protect: bool = Field(default=False, description="Refuse to delete the cluster")

    @model_validator(mode="after")
    def _endpoint_is_open_on_purpose(self) -> "EksSettings":
        if self.private_endpoint and self.public_access_cidrs:
            raise ValueError("public_access_cidrs needs private_endpoint: false")
        if not self.private_endpoint and not self.public_access_cidrs:
            raise ValueError(
                "public_access_cidrs is required unless private_endpoint is true; list your networks, "
                f'or write ["{ANYWHERE}"] out to open the endpoint to the Internet'
            )
        return self


class ExistingClusterSettings(Section):
    kind: Literal["existing"]
    context: str = Field(
        min_length=1, description="Context in your kubeconfig, never the current one"
    )
