"""Section `task_pods`: pods that tasks start with the KubernetesPodOperator."""

from pydantic import Field

from settings.types import Section


class TaskPodSettings(Section):
    """Sum of all pods of KubernetesPodOperator, for queues with `pod_operator: true`"""

    max: int = Field(default=20, ge=1, description="Maximum number of pods")
    cpu: float = Field(default=16.0, gt=0, description="CPU requests of all pods")
    memory_mb: int = Field(default=65536, ge=64, description="Memory limits of all pods")
