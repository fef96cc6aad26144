"""Refusals and behavior of AWS that moto lacks, at AWS's API: they apply to every client."""

from contextlib import ExitStack

from tests.engine.simulator.moto_patches import (
    clusters,
    databases,
    identity,
    network,
    quotas,
    storage,
)
from tests.engine.simulator.moto_patches.guard import apply

GUARDS = (
    *network.GUARDS,
    *databases.GUARDS,
    *clusters.GUARDS,
    *storage.GUARDS,
    *identity.GUARDS,
    *quotas.GUARDS,
)


def install(patches: ExitStack) -> None:
    """Patch moto until `patches` closes."""
    for guard in GUARDS:
        apply(guard, patches)
    storage.read_condition(patches)
    identity.linked_role_names(patches)
    quotas.serve(patches)
