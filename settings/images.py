"""Section `images`: registry with copies of all images, login to it, and an ECR cache."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from settings.types import SecretName, Section

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html
PREFIX_LENGTH = 30
DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
PUBLIC_REGISTRIES = (*DOCKER_HUB, "ghcr.io", "quay.io", "registry.k8s.io")
Registry = Annotated[
    str,
    Field(
        title="host and path, such as `registry.example.com/mirror`",
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?(/[a-z0-9._-]+)*$",
    ),
]
# ECR has pull-through caches in the partition `aws` only:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
SecretArn = Annotated[
    str,
    Field(
        title="ARN of a secret `ecr-pullthroughcache/...`",
        pattern=r"^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/[\w/+=.@-]+$",
    ),
]


class ImageSettings(Section):
    """Where the nodes pull container images from"""

    registry: Registry | None = Field(
        default=None,
        description="Registry with a copy of every public image; `make images` lists them "
        "(docs/clusters.md)",
    )
    pull_secret: SecretName | None = Field(
        default=None,
        description="Secret of type `kubernetes.io/dockerconfigjson` with the login to a private "
        "registry, for all pods; the Pulumi secret `image_pull_credentials` creates it",
    )
    docker_hub_secret_arn: SecretArn | None = Field(
        default=None,
        description="Docker Hub login in Secrets Manager: nodes then pull the images of Docker Hub "
        "through a cache in ECR (EKS; docs/aws.md)",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "ImageSettings":
        if self.registry and self.docker_hub_secret_arn:
            raise ValueError(
                "has registry and docker_hub_secret_arn, two sources of images; keep one"
            )
        return self


def pinned(image: str, digest: str | None) -> str:
    return f"{image}@{digest}" if digest else image


def _split(image: str) -> tuple[str, str]:
    """Registry and path of an image; those of Docker Hub may have names without registry."""
    host, slash, path = image.partition("/")
    if not slash:
        return DOCKER_HUB[0], f"library/{image}"
    if host in DOCKER_HUB:
        return DOCKER_HUB[0], path if "/" in path else f"library/{path}"
    if host == "localhost" or "." in host or ":" in host:
        return host, path
    return DOCKER_HUB[0], image


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A registry with copies of public images, under their paths."""

    registry: str

    def copy_of(self, image: str) -> str:
        """The name of the copy; an image of a private registry keeps its name."""
        host, path = _split(image)
        return f"{self.registry}/{path}" if host in PUBLIC_REGISTRIES else image


@dataclass(frozen=True, kw_only=True)
class ImageCache:
    """The pull-through cache of a stack, in the account and Region of the secret.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-working.html
    """

    secret_arn: str
    # Unique in the account and Region, so each stack has its own.
    prefix: str

    @property
    def region(self) -> str:
        return self.secret_arn.split(":")[3]

    @property
    def registry(self) -> str:
        account = self.secret_arn.split(":")[4]
        return f"{account}.dkr.ecr.{self.region}.amazonaws.com"

    def copy_of(self, image: str) -> str:
        """The name of an image in the cache; an image of another registry keeps its name."""
        host, path = _split(image)
        return f"{self.registry}/{self.prefix}/{path}" if host in DOCKER_HUB else image

    def repository(self, image: str) -> str | None:
        """The ECR repository of an image in the cache; None for any other image."""
        path = image.removeprefix(f"{self.registry}/")
        if not path.startswith(f"{self.prefix}/"):
            return None
        return re.split("[:@]", path)[0]


def image_cache(settings: ImageSettings, stack_name: str) -> ImageCache | None:
    if settings.docker_hub_secret_arn is None:
        return None
    slug = re.sub(r"[^a-z0-9]+", "-", f"airflow-{stack_name.lower()}")
    return ImageCache(
        secret_arn=settings.docker_hub_secret_arn, prefix=slug[:PREFIX_LENGTH].rstrip("-")
    )
