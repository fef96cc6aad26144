"""`airflow.sso`: sign-in to the UI at an OpenID Connect provider."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from settings.types import CaFile, Section

# https://airflow.apache.org/docs/apache-airflow-providers-fab/stable/auth-manager/access-control.html
BUILT_IN_ROLES = ("Admin", "Op", "User", "Viewer")
# The global cloud, and the national clouds:
# https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud
ENTRA_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
)
DISCOVERY = "/.well-known/openid-configuration"


def _issuer(value: str) -> str:
    if not value.startswith("https://") or "@" in value or not urlsplit(value).hostname:
        raise ValueError(
            "should be an https:// URL without credentials, such as "
            "https://keycloak.example.com/realms/example"
        )
    if value.endswith(DISCOVERY):
        raise ValueError(f"should not end with {DISCOVERY}: the program adds it")
    return value


def _role(value: str) -> str:
    for role in BUILT_IN_ROLES:
        if value != role and value.lower() == role.lower():
            raise ValueError(f"should be {role}")
    return value


class SsoSettings(Section):
    """Sign-in to the UI at an OpenID Connect provider; needs the secret `sso_client_secret`"""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        json_schema_extra={"pattern": "^https://[^@]+$"},
        description="Issuer URL of the provider, as its discovery document spells it",
    )
    client_id: str = Field(min_length=1, description="ID of the client that represents Airflow")
    roles: dict[str, Annotated[str, Field(min_length=1), AfterValidator(_role)]] = Field(
        min_length=1,
        description="Airflow role of each group of the provider: `group: Admin`, `Op`, `User`, `Viewer` or "
        "a role of your own; a user without any of the groups has no access",
    )
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile", "email"),
        description="Scopes of the sign-in; Okta needs `groups` in addition",
        strict=False,
    )
    session_hours: int = Field(
        default=12,
        ge=1,
        le=720,
        description="Hours until a user must sign in again, which also updates the roles",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file with the CA certificates of a provider with a private CA",
    )

    @property
    def provider(self) -> str:
        """Name of the provider in FAB, which selects where FAB reads the groups.

        The userinfo endpoint of Entra ID returns no groups; FAB reads the ID token instead if the
        name is `azure`.
        """
        return "azure" if urlsplit(self.issuer).hostname in ENTRA_HOSTS else "sso"

    @property
    def discovery_url(self) -> str:
        return self.issuer.rstrip("/") + DISCOVERY

    @property
    def redirect_path(self) -> str:
        return f"/auth/oauth-authorized/{self.provider}"
