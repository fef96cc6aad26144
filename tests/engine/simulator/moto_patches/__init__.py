"""Refusals and behavior of AWS that moto lacks, at AWS's API: they apply to every client."""

from contextlib import ExitStack

from tests.engine.simulator import log_groups
from tests.engine.simulator.moto_patches import (
    clusters,
    databases,
    identity,
    images,
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
    *images.GUARDS,
    *identity.GUARDS,
    *quotas.GUARDS,
)


def install(patches: ExitStack) -> None:
    """Patch moto until `patches` closes."""
    for guard in GUARDS:
        apply(guard, patches)
    databases.defer_changes(patches)
    storage.read_condition(patches)
    log_groups.written_by_databases(patches)
    network.name_flow_logs(patches)
    identity.linked_role_names(patches)
    quotas.serve(patches)
