"""Sign-in at an OpenID Connect provider: the configuration of the API server."""

import json
from pathlib import Path
from typing import Any

from components.support.hardened_pod import IN_POD, script_checksum
from components.support.named_secret import NamedSecret, annotations
from settings.airflow import AirflowSettings
from settings.sso import SsoSettings

SCRIPT = IN_POD / "webserver_config.py"
CA_CONFIG_MAP = "sso-ca"
CA_FOLDER = "/etc/sso-ca"
CLIENT_SECRET = "client-secret"  # noqa: S105 - key in the Secret


def api_server(
    airflow: AirflowSettings, sso: SsoSettings, client_secret: NamedSecret
) -> dict[str, Any]:
    """Values under `apiServer`.

    In the environment of the API server instead of airflow.cfg: no other pod restarts.
    """
    reference = {"name": client_secret.name, "key": CLIENT_SECRET}
    values: dict[str, Any] = {
        "apiServerConfig": SCRIPT.read_text(),
        "env": [
            {"name": "AIRFLOW_SSO", "value": configuration(airflow, sso)},
            {"name": "AIRFLOW_SSO_CLIENT_SECRET", "valueFrom": {"secretKeyRef": reference}},
            # FAB's session outlives the token: at its end, FAB would issue the next token without
            # asking the provider, by default for 30 days.
            _env("AIRFLOW__FAB__SESSION_LIFETIME_MINUTES", sso.session_hours * 60),
            _env("AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME", sso.session_hours * 3600),
        ],
    }
    if sso.ca_file is not None:
        values["extraVolumes"] = [{"name": CA_CONFIG_MAP, "configMap": {"name": CA_CONFIG_MAP}}]
        mount = {"name": CA_CONFIG_MAP, "mountPath": CA_FOLDER, "readOnly": True}
        values["extraVolumeMounts"] = [mount]
    return values


def ca(sso: SsoSettings) -> str | None:
    """CA certificates (PEM) of the provider."""
    return Path(sso.ca_file).read_text() if sso.ca_file is not None else None


def checksums(sso: SsoSettings, client_secret: NamedSecret) -> dict[str, Any]:
    """Pod annotations that restart API servers for a new client secret or CA bundle."""
    found: dict[str, Any] = annotations(client_secret)
    if (pem := ca(sso)) is not None:
        found[f"checksum/{CA_CONFIG_MAP}"] = script_checksum(pem)
    return found


def configuration(airflow: AirflowSettings, sso: SsoSettings) -> str:
    """Environment variable `AIRFLOW_SSO` of the scripts."""
    known = {
        "provider": sso.provider,
        "issuer": sso.issuer,
        "discovery_url": sso.discovery_url,
        "client_id": sso.client_id,
        "roles": sso.roles,
        "scope": " ".join(sso.scopes),
        "ca_path": f"{CA_FOLDER}/ca.pem" if sso.ca_file else None,
        "redirect_uri": airflow.sso_redirect,
        "https": airflow.url.startswith("https://"),
    }
    return json.dumps(known)


def _env(name: str, value: int) -> dict[str, str]:
    return {"name": name, "value": str(value)}
