"""Program of the Job in components/airflow/sso_check.py: checks what `airflow.sso` needs."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import requests

SECONDS = 20
REASON = "/dev/termination-log"  # Pulumi shows its content


def main() -> None:
    sso, secret = json.loads(os.environ["AIRFLOW_SSO"]), os.environ["AIRFLOW_SSO_CLIENT_SECRET"]
    if mistakes := [*missing_package(), *refusal(sso, secret)]:
        text = "\n".join(mistakes)
        Path(os.environ.get("REASON_FILE", REASON)).write_text(text)
        sys.exit(text)


def missing_package() -> list[str]:
    if importlib.util.find_spec("authlib"):
        return []
    return [
        "airflow.image: the image lacks the Python package authlib, without which the API server ends at "
        "its start; use the official image, which has it, or install "
        "apache-airflow-providers-fab[oauth] in your own"
    ]


def refusal(sso: dict[str, Any], secret: str) -> list[str]:
    """What the discovery document and the token endpoint of the provider say."""
    verify = sso["ca_path"] or True
    try:
        answer = requests.get(sso["discovery_url"], timeout=SECONDS, verify=verify)
        answer.raise_for_status()
        issuer, token_endpoint = answer.json()["issuer"], answer.json()["token_endpoint"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        return [
            f"airflow.sso.issuer: no discovery document at {sso['discovery_url']} ({error}); pods of the "
            "cluster must reach this address, and its certificate must be of a public CA or in "
            "airflow.sso.ca_file"
        ]
    if issuer != sso["issuer"]:
        return [
            f"airflow.sso.issuer: should be {issuer}, as the provider spells it, got {sso['issuer']}"
        ]
    if client_is_refused(token_endpoint, sso, secret):
        return [
            f"sso_client_secret: {issuer} does not accept it for the client {sso['client_id']}: copy it "
            "again, or correct airflow.sso.client_id"
        ]
    return []


def client_is_refused(token_endpoint: str, sso: dict[str, Any], secret: str) -> bool:
    """Whether the provider refuses the client before it refuses a login that never took place.

    The status is 401 for the first, 400 for the second:
    https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    """
    code = "no-login"
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": sso["redirect_uri"]}
    login, verify = (sso["client_id"], secret), sso["ca_path"] or True
    try:
        return (
            requests.post(
                token_endpoint, data=form, auth=login, timeout=SECONDS, verify=verify
            ).status_code
            == requests.codes.unauthorized
        )
    except OSError:
        return False  # reported by the API server at the first login


if __name__ == "__main__":
    main()
