"""Section `dags`: the Git repository of the DAGs, and how the platform follows it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.types import CaFile, GitUrl, PublicUrl, Section, SubPath


class NoAuth(Section):
    kind: Literal["none"] = "none"


class TokenAuth(Section):
    kind: Literal["token"]
    username: str = Field(default="git", min_length=1, description="User that the token belongs to")


class SshAuth(Section):
    kind: Literal["ssh"]
    known_hosts: str = Field(
        pattern=r"\S+ (ssh|ecdsa)-\S+ \S+",
        description="Host key lines, as `ssh-keyscan` prints them",
    )


class GithubAppAuth(Section):
    kind: Literal["github_app"]
    client_id: str = Field(min_length=1, description="Client ID of the GitHub App")
    installation_id: int = Field(ge=1, description="Its installation, from the URL of its settings")
    api_url: PublicUrl = Field(
        default="https://api.github.com/",
        pattern=r"^https://",
        description="API of GitHub; `https://HOST/api/v3/` for GitHub Enterprise Server",
    )


class DagSettings(Section):
    repo: GitUrl = Field(description="Git repository of the DAGs")
    branch: str | None = Field(
        default=None, min_length=1, description="Branch to follow; `main` if nothing else is set"
    )
    tag: str | None = Field(
        default=None, min_length=1, description="Tag to stay on, instead of a branch"
    )
    commit: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit to stay on, instead of a branch: all 40 digits",
    )
    sub_path: SubPath = Field(
        default="dags", description="Folder of the DAGs in the repository; empty for all of it"
    )
    mode: Literal["git-sync", "bundle"] = Field(
        default="git-sync",
        description="`git-sync`: the newest DAGs; `bundle`: a run stays on the commit it began with",
    )
    poll_seconds: float = Field(
        default=5.0, ge=0.5, le=3600, description="How often the Git host is asked for news"
    )
    webhook: bool = Field(
        default=False,
        description="The Git host may announce a push: the relay then fetches at once "
        "(EKS: through `airflow.ingress`)",
    )
    max_mb: int = Field(
        default=100,
        ge=1,
        le=10240,
        description="Files of a commit together, in MiB; a larger one does not reach the pods",
    )
    storage_gb: int = Field(
        default=5, ge=1, le=1000, description="Volume for the copy of the repository, in GiB"
    )
    ca_file: CaFile | None = Field(
        default=None, description="PEM file that vouches for a Git host with a private CA"
    )
    auth: Annotated[NoAuth | TokenAuth | SshAuth | GithubAppAuth, Field(discriminator="kind")] = (
        NoAuth()
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> "DagSettings":
        if len([ref for ref in (self.branch, self.tag, self.commit) if ref]) > 1:
            raise ValueError("set one of branch, tag and commit")
        ssh = self.repo.startswith(("ssh://", "git@"))
        if ssh != isinstance(self.auth, SshAuth):
            raise ValueError(
                "an ssh repository needs auth.kind: ssh"
                if ssh
                else "auth.kind: ssh needs an ssh repository"
            )
        if isinstance(self.auth, TokenAuth | GithubAppAuth) and not self.repo.startswith(
            "https://"
        ):
            raise ValueError(
                f"auth.kind: {self.auth.kind} needs an https:// repository: "
                "git:// would send its token in the clear"
            )
        # The history, a checkout, and the next one while it is made.
        if self.storage_gb * 1024 < 4 * self.max_mb:
            raise ValueError("storage_gb must hold four times max_mb")
        return self

    @property
    def ref(self) -> str:
        return self.commit or self.tag or self.branch or "main"
