"""ECR pull-through cache: nodes pull the images of Docker Hub from the account of the stack."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from settings.images import ImageCache

DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True, kw_only=True)
class PullThroughCacheArgs:
    cache: ImageCache
    # Images of the stack; those that are not in the cache need no repository.
    images: Sequence[str]


class PullThroughCache(pulumi.ComponentResource):
    """Cache rule for Docker Hub, with the repositories of the stack's images.

    The repositories are declared, because ECR does not delete those that it creates itself. The
    policy AmazonEC2ContainerRegistryPullOnly of the node role then suffices for the first pull:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
    """

    def __init__(
        self, name: str, args: PullThroughCacheArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:PullThroughCache", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        aws.ecr.PullThroughCacheRule(
            f"{name}-docker-hub",
            ecr_repository_prefix=args.cache.prefix,
            upstream_registry_url=DOCKER_HUB,
            credential_arn=args.cache.secret_arn,
            opts=child,
        )
        repositories = {args.cache.repository(image) for image in args.images}
        for repository in sorted(filter(None, repositories)):
            aws.ecr.Repository(
                f"{name}-{repository.removeprefix(f'{args.cache.prefix}/').replace('/', '-')}",
                name=repository,
                # A cache: ECR pulls the images again.
                force_delete=True,
                image_scanning_configuration={"scan_on_push": True},
                opts=child,
            )
        self.register_outputs({})
