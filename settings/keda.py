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

    all_namespaces: bool = Field(
        default=False,
        description="Serve every stack in the cluster: those with `keda.existing: true`. KEDA can then "
        "read the Secrets of all namespaces",
    )

    @model_validator(mode="after")
    def _namespace_needs_existing(self) -> "KedaSettings":
        if "namespace" in self.model_fields_set and not self.existing:
            raise ValueError(
                f"namespace {self.namespace} needs existing: true; the stack installs its own KEDA into the "
                f"namespace {KEDA_NAMESPACE}"
            )
        if self.all_namespaces and self.existing:
            raise ValueError(
                "all_namespaces needs existing: false; set it in the stack that installs KEDA"
            )
        return self
