"""Section `logs`: retention of task logs."""

from pydantic import Field

from settings.types import Section


class LogSettings(Section):
    """Task logs, and logs of AWS in CloudWatch"""

    retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Retention of task logs; in CloudWatch the next longer retention that it accepts",
    )
    protect: bool = Field(default=False, description="Refuse to delete the log bucket (EKS)")
