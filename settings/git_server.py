"""Section `git_server`: a Git server in the cluster."""

from pydantic import Field, model_validator

from settings.types import Section, is_directory


class GitServerSettings(Section):
    seed: str = Field(
        default="dags-repo-example", description="Folder with the files of the first commit"
    )
    storage_gb: int = Field(default=1, ge=1, le=100, description="Volume of the repository")

    @model_validator(mode="after")
    def _seed_exists(self) -> "GitServerSettings":
        if not is_directory(f"{self.seed}/dags"):
            raise ValueError(f"seed needs a folder {self.seed}/dags")
        return self
