"""Passwords: as configured, or generated once and kept."""

import pulumi
import pulumi_random as random

LENGTH = 32


def password(
    name: str,
    *,
    configured: pulumi.Output[str] | None,
    generation: int,
    opts: pulumi.ResourceOptions,
    length: int = LENGTH,
) -> pulumi.Output[str]:
    """The configured secret, or a generated one that changes only when `generation` does."""
    if configured is not None:
        return configured
    return random.RandomPassword(
        name,
        length=length,
        # It travels inside connection URLs and must not need escaping.
        special=False,
        keepers={"generation": str(generation)},
        opts=opts,
    ).result
