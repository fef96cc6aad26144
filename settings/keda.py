"""Section `keda`: the autoscaler of the queues."""

from pydantic import Field, model_validator

from settings.types import NamespaceName, Section

KEDA_NAMESPACE = "keda"


class KedaSettings(Section):
    """Autoscaler of the queues"""

    existing: bool = Field(
        default=False, description="Use the KEDA that is already installed in the cluster"
    )
    namespace: NamespaceName = Field(
        default=KEDA_NAMESPACE,
        description="Namespace of the existing KEDA, which gets access to the database",
    )

    @model_validator(mode="after")
    def _namespace_needs_existing(self) -> "KedaSettings":
        if "namespace" in self.model_fields_set and not self.existing:
            raise ValueError(
                f"namespace {self.namespace} needs existing: true; the stack installs its own KEDA into the "
                f"namespace {KEDA_NAMESPACE}"
            )
        return self
