"""Section `keda`: the autoscaler of the queues."""

from pydantic import Field, model_validator

from settings.types import NamespaceName, Section

KEDA_NAMESPACE = "keda"


class KedaSettings(Section):
    existing: bool = Field(
        default=False, description="The cluster has a KEDA of somebody else: install none"
    )
    namespace: NamespaceName = Field(
        default=KEDA_NAMESPACE, description="Where that KEDA is, which then reads the database"
    )

    @model_validator(mode="after")
    def _namespace_is_that_of_an_existing_one(self) -> "KedaSettings":
        if "namespace" in self.model_fields_set and not self.existing:
            raise ValueError(
                f"namespace {self.namespace} needs existing: true; a KEDA of the stack's own is in "
                f"{KEDA_NAMESPACE}"
            )
        return self
