"""The version of Airflow of a deployed stack, which `make upgrade` changes."""

from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack

TYPE, RELEASE = "kubernetes:helm.sh/v3:Release", "airflow-release"


def deployed_version(stack: Stack) -> str | None:
    """Version of Airflow in the state; None before the first `make up`."""
    for resource in stack.resources():
        if resource["type"] == TYPE and resource["urn"].endswith(f"::{RELEASE}"):
            return resource.get("inputs", {}).get("values", {}).get("airflowVersion")
    return None


def check(session: Session) -> None:
    """Raise `OperationError` for an update that would migrate the database without a backup."""
    present, wanted = deployed_version(session.stack), session.settings.airflow.version
    if present in (None, wanted):
        return
    name = session.stack.name
    raise OperationError(
        f"Pulumi.{name}.yaml: airflow.version is {wanted}, and Airflow {present} is deployed. Nothing was "
        f"changed: without a backup there is no way back. Run `make upgrade STACK={name}`, or keep "
        f"the version with airflow.version: {present}"
    )
