"""Configuration of the FAB auth manager for `airflow.sso`; only API servers have it.

https://airflow.apache.org/docs/apache-airflow-providers-fab/stable/auth-manager/sso.html
"""

import json
import os
from typing import Any

# In the Airflow image.
from flask import Response, current_app, flash, redirect, request
from flask_appbuilder.const import AUTH_OAUTH  # pyright: ignore[reportMissingImports]
from flask_login import current_user, logout_user  # pyright: ignore[reportMissingImports]

_sso = json.loads(os.environ["AIRFLOW_SSO"])

AUTH_TYPE = AUTH_OAUTH
AUTH_ROLES_MAPPING = {group: [role] for group, role in _sso["roles"].items()}
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_USER_REGISTRATION = True
AUTH_USER_REGISTRATION_ROLE = "Public"  # every user has it; it grants nothing
OAUTH_PROVIDERS = [
    {
        "name": _sso["provider"],
        "icon": "fa-key",
        "token_key": "access_token",
        "remote_app": {
            "client_id": _sso["client_id"],
            "client_secret": os.environ["AIRFLOW_SSO_CLIENT_SECRET"],
            "server_metadata_url": _sso["discovery_url"],
            "client_kwargs": {
                "scope": _sso["scope"],
                "code_challenge_method": "S256",
                "timeout": 10,  # of each request to the provider; without it, a thread waits for ever
                "verify": _sso["ca_path"] or True,
            },
        },
    }
]
SESSION_COOKIE_SECURE = _sso["https"]


@current_app.after_request
def _refuse_without_a_group(response: Response) -> Any:
    """Otherwise the user would see an empty UI with the text `403 Forbidden`."""
    if "/oauth-authorized/" not in request.path or not current_user.is_authenticated:
        return response
    if {role.name for role in current_user.roles} - {AUTH_USER_REGISTRATION_ROLE}:
        return response
    text = (
        f"You signed in as {current_user.username}, but none of your groups has a role in Airflow. Ask "
        f"for one of the groups {', '.join(AUTH_ROLES_MAPPING)}, then sign in again."
    )
    logout_user()
    flash(text, "danger")
    appbuilder: Any = current_app.extensions["appbuilder"]
    return redirect(appbuilder.get_url_for_login)
