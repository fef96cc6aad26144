"""Passwords: configured in the stack file, or generated once and stored in the state."""

import pulumi
import pulumi_random as random

LENGTH = 32


def password(
    name: str,
    *,
    configured: pulumi.Output[str] | None,
    rotation: int,
    opts: pulumi.ResourceOptions,
    length: int = LENGTH,
    former_name: str | None = None,
) -> pulumi.Output[str]:
    """The configured password, or a generated one that changes only with its rotation number."""
    if configured is not None:
        return configured
    return random.RandomPassword(
        name,
        length=length,
        # The password is part of connection URLs and must not need escaping.
        special=False,
        # Another key here would replace every generated password.
        keepers={"generation": str(rotation)},
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(aliases=[pulumi.Alias(name=former_name)] if former_name else []),
        ),
    ).result
