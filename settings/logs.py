"""Section `logs`: retention of task logs."""

from pydantic import Field

from settings.types import Section


class LogSettings(Section):
    retention_days: int = Field(
        default=30, ge=1, le=3650, description="Days that task logs are kept"
    )
    protect: bool = Field(default=False, description="Refuse to delete the bucket (EKS)")
