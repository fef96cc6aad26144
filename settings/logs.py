"""Section `logs`: where task logs are stored, and for how long."""

from pydantic import Field, model_validator

from settings.types import PublicUrl, Region, SecretName, Section

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"

# Start of the names of task logs, by Airflow's default template.
TASK_LOGS = "dag_id="


class LogSettings(Section):
    """Task logs, and logs of AWS in CloudWatch"""

    retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Retention of task logs (EKS); in CloudWatch the next longer retention that it "
        "accepts",
    )
    protect: bool = Field(default=False, description="Refuse to delete the log bucket (EKS)")
    replicate_to: Region | None = Field(
        default=None,
        description="Second Region, for a replica of the log bucket (EKS): "
        "[runbook](runbooks/lost-region.md)",
    )
    bucket: str | None = Field(
        default=None,
        pattern=rf"^{BUCKET}(/[A-Za-z0-9._/-]*[A-Za-z0-9._-])?$",
        description="Your S3 bucket for task logs, or `bucket/folder` (existing cluster; EKS has a bucket "
        "of its own). If not set, logs stay in the pods",
    )
    endpoint_url: PublicUrl | None = Field(
        default=None,
        pattern=r"^https?://[^/]+",
        description="URL of an S3-compatible service, such as MinIO; if not set, Amazon S3",
    )
    region: str | None = Field(
        default=None, pattern=r"^[a-z0-9-]+$", description="Region of `bucket`"
    )
    credentials_secret: SecretName | None = Field(
        default=None,
        description="Kubernetes Secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; if "
        "not set, the pods' own role",
    )

    @model_validator(mode="after")
    def _options_need_a_bucket(self) -> "LogSettings":
        options = ("endpoint_url", "region", "credentials_secret")
        given = [option for option in options if getattr(self, option) is not None]
        if given and self.bucket is None:
            raise ValueError(f"{' and '.join(given)} need{'' if given[1:] else 's'} bucket")
        return self
