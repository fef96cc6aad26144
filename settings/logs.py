"""Section `logs`: retention of logs."""

from pydantic import Field

from settings.types import Section


class LogSettings(Section):
    """Task logs"""

    retention_days: int = Field(default=30, ge=1, le=3650, description="Retention of logs. CloudWatch rounds it up: 1, 3, 5, 7, 14, 30, 60, 90, ...")
    protect: bool = Field(default=False, description="Refuse to delete the log bucket (EKS)")
