"""The EKS cluster of a stack."""

from ops.session import Session
from ops.shell import OperationError
from ops.stack_files import project
from settings.cluster import EksSettings, cluster_name

TYPE = "aws:eks/cluster:Cluster"


def check_name(session: Session) -> None:
    """Raise `OperationError` if the update would rename the cluster, which replaces it."""
    settings, stack = session.settings.cluster, session.stack
    if not isinstance(settings, EksSettings):
        return
    wanted = cluster_name(settings, stack.name)
    for resource in stack.state().get("resources", []):
        present = resource.get("outputs", {}).get("name")
        if resource["type"] == TYPE and present not in (None, wanted):
            raise OperationError(
                f"Pulumi.{stack.name}.yaml:\n  {project()}:settings.cluster.name: the cluster of this "
                f"stack is named {present}; `make up` would replace it with {wanted}. Nothing was "
                f"changed. To keep the cluster, add `name: {present}` to the section `cluster`"
            )
