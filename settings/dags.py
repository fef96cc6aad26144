"""Section `dags`: the Git repositories of the DAGs, and how the platform follows them."""

from typing import Literal

from pydantic import Field, model_validator

from settings import versions
from settings.images import pinned
from settings.types import (
    REPOSITORY_NAME,
    RESERVED_REPOSITORIES,
    CaFile,
    Digest,
    GitUrl,
    PublicUrl,
    RepositoryName,
    Section,
    SubPath,
    TaggedImage,
)


class NoAuth(Section):
    kind: Literal["none"]


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
    installation_id: int = Field(
        ge=1, description="Installation ID, from the URL of the installation's settings"
    )
    api_url: PublicUrl = Field(
        default="https://api.github.com/",
        pattern=r"^https://",
        description="GitHub API; `https://HOST/api/v3/` for GitHub Enterprise Server",
    )


Auth = NoAuth | TokenAuth | SshAuth | GithubAppAuth
# Regular expression of the secrets of `dags.repositories`: that of `git_secret`, then the name.
REPOSITORY_LOGIN = rf"(git_token|git_ssh_key|github_app_key)_{REPOSITORY_NAME}"


def git_secret(auth: Auth) -> str | None:
    """Name of the secret that a login needs."""
    match auth:
        case TokenAuth():
            return "git_token"
        case SshAuth():
            return "git_ssh_key"
        case GithubAppAuth():
            return "github_app_key"
        case NoAuth():
            return None


class Repository(Section):
    """A Git repository of DAGs, and the part of it that the platform follows"""

    repo: GitUrl = Field(description="Git repository of the DAGs")
    branch: str | None = Field(
        default=None,
        min_length=1,
        description="Branch to follow; `main` if neither branch, tag nor commit is set",
    )
    tag: str | None = Field(
        default=None, min_length=1, description="Tag to pin, instead of a branch"
    )
    commit: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit to pin, instead of a branch: the full SHA-1",
    )
    sub_path: SubPath = Field(
        default="dags", description="DAG folder in the repository; empty for the root"
    )
    lfs: bool = Field(
        default=False,
        description="Deliver the files of Git LFS instead of their pointers; needs `git-lfs` in "
        "`dags.git_sync_image`",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file with the CA certificates of a Git host with a private CA",
    )
    auth: Auth = Field(
        default=NoAuth(kind="none"),
        discriminator="kind",
        description="Authentication at the Git host",
    )

    @model_validator(mode="after")
    def _fields_match(self) -> "Repository":
        if len([ref for ref in (self.branch, self.tag, self.commit) if ref]) > 1:
            raise ValueError("set only one of branch, tag and commit")
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
                "git:// would send the token unencrypted"
            )
        return self

    @property
    def ref(self) -> str:
        return self.commit or self.tag or self.branch or "main"


class DagSettings(Repository):
    """Git repositories of the DAGs, and how the platform follows them"""

    repositories: dict[RepositoryName, Repository] = Field(
        default={},
        json_schema_extra={
            "propertyNames": {
                "pattern": f"^{REPOSITORY_NAME}$",
                "not": {"enum": [*RESERVED_REPOSITORIES]},
            }
        },
        description="Additional repositories: `name: {repo, branch, sub_path, auth, ...}`, with the "
        "keys from `dags.repo` to `dags.auth`",
    )
    mode: Literal["git-sync", "bundle"] = Field(
        default="git-sync",
        description="`git-sync`: tasks use the newest DAGs; `bundle`: a run keeps the commit it started with",
    )
    poll_seconds: float = Field(
        default=5.0, ge=0.5, le=3600, description="Polling interval of the Git host"
    )
    webhook: bool = Field(
        default=False,
        description="Accept push webhooks of the Git host, to fetch without waiting for the next poll "
        "(EKS: through `airflow.ingress`)",
    )
    max_mb: int = Field(
        default=100,
        ge=1,
        le=10240,
        description="Maximum size of a commit's files; a larger commit is not delivered to the pods",
    )
    max_file_mb: int = Field(
        default=50,
        ge=1,
        le=10240,
        description="Maximum size of one file; a commit with a larger one is not delivered",
    )
    max_files: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Maximum number of files of a commit; a commit with more is not delivered",
    )
    storage_gb: int = Field(
        default=5, ge=1, le=1000, description="Volume of each repository's copy"
    )
    git_sync_image: TaggedImage = Field(
        default=versions.GIT_SYNC_IMAGE, description="Image of git-sync, with its tag"
    )
    git_sync_digest: Digest | None = Field(
        default=None, description="Digest of the git-sync image; takes precedence over the tag"
    )

    @model_validator(mode="after")
    def _sizes_match(self) -> "DagSettings":
        # The history, a checkout, and the next checkout while it is written.
        if self.storage_gb * 1024 < 4 * self.max_mb:
            raise ValueError(
                f"storage_gb {self.storage_gb} must be at least four times max_mb {self.max_mb}: it "
                "holds the history and two checkouts"
            )
        return self

    @model_validator(mode="after")
    def _image_has_lfs(self) -> "DagSettings":
        using = [name for name, each in self.all_repositories.items() if each.lfs]
        # https://github.com/kubernetes/git-sync/issues/174
        if using and self.git_sync_image == versions.GIT_SYNC_IMAGE:
            key = f"repositories.{using[0]}.lfs" if using[0] else "lfs"
            raise ValueError(
                f"{key} needs an image of git-sync with git-lfs, which {self.git_sync_image} lacks: "
                "build one as docs/dags.md describes, and set git_sync_image"
            )
        return self

    @model_validator(mode="after")
    def _folders_are_separate(self) -> "DagSettings":
        if self.repositories and self.mode == "git-sync" and not self.sub_path:
            raise ValueError(
                "sub_path should be a folder: in the root, Airflow would also find the DAGs of "
                "repositories, which git-sync delivers in the folder repositories"
            )
        return self

    @property
    def all_repositories(self) -> dict[str, Repository]:
        """Every repository by name. That of `dags.repo` is the first, without a name."""
        return {"": self, **self.repositories}

    @property
    def checkout_mb(self) -> int:
        """Disk of git-sync in each pod: this checkout, the next one, and Git's objects of both."""
        return 4 * self.max_mb * len(self.all_repositories)

    @property
    def git_sync_reference(self) -> str:
        return pinned(self.git_sync_image, self.git_sync_digest)
