"""Section `images`: login to a private registry, and an ECR pull-through cache for Docker Hub."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from settings.types import SecretName, Section

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html
PREFIX_LENGTH = 30
DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
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


def pinned(image: str, digest: str | None) -> str:
    return f"{image}@{digest}" if digest else image


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

    def cached(self, image: str) -> str:
        """The name of an image in the cache; an image of another registry keeps its name."""
        host, slash, path = image.partition("/")
        if not slash:
            return f"{self.registry}/{self.prefix}/library/{image}"
        if host in DOCKER_HUB:
            return self.cached(path)
        if host == "localhost" or "." in host or ":" in host:
            return image
        return f"{self.registry}/{self.prefix}/{image}"

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
