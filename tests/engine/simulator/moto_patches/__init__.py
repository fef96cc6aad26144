"""Refusals and behavior of AWS that moto lacks, at AWS's API: every client of the account meets them."""

from contextlib import ExitStack

from tests.engine.simulator.moto_patches import clusters, databases, network, storage
from tests.engine.simulator.moto_patches.guard import apply

GUARDS = (*network.GUARDS, *databases.GUARDS, *clusters.GUARDS, *storage.GUARDS)


def install(ended: ExitStack) -> None:
    """Patch moto until `ended` closes."""
    for guard in GUARDS:
        apply(guard, ended)
    storage.read_condition(ended)
