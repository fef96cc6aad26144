"""Where moto says yes and AWS says no. At AWS's API, so every client meets it."""

from contextlib import ExitStack

from tests.engine.simulator.stricter import clusters, databases, network, storage
from tests.engine.simulator.stricter.guard import apply


def install(ended: ExitStack) -> None:
    for module in (network, databases, clusters, storage):
        for guard in module.GUARDS:
            apply(guard, ended)
    storage.read_condition(ended)
