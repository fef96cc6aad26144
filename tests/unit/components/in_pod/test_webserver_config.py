"""FAB's configuration for `airflow.sso`, in a Flask application as FAB loads it."""

import json
import sys
from types import ModuleType, SimpleNamespace

import flask
import pytest

from components.airflow import sso
from settings.airflow import AirflowSettings

SSO = {
    "issuer": "https://keycloak.example.com/realms/example",
    "client_id": "airflow",
    "roles": {"data-platform": "Admin", "analysts": "Viewer"},
}


class User(SimpleNamespace):
    @property
    def is_authenticated(self):
        return self.username is not None


@pytest.fixture
def app(monkeypatch):
    """The application after FAB has read the file; `app.user` is the signed-in user."""

    def load(**given):
        application = flask.Flask("airflow")
        application.secret_key = "key-of-the-test"
        application.user = User(username=None, roles=[])
        login, const = ModuleType("flask_login"), ModuleType("flask_appbuilder.const")
        login.current_user = application.user
        login.logout_user = lambda: setattr(application.user, "username", None)
        const.AUTH_OAUTH = 4
        monkeypatch.setitem(sys.modules, "flask_login", login)
        monkeypatch.setitem(sys.modules, "flask_appbuilder", ModuleType("flask_appbuilder"))
        monkeypatch.setitem(sys.modules, "flask_appbuilder.const", const)
        airflow = AirflowSettings.model_validate({"sso": {**SSO, **given}})
        monkeypatch.setenv("AIRFLOW_SSO", sso.configuration(airflow, airflow.sso))
        monkeypatch.setenv("AIRFLOW_SSO_CLIENT_SECRET", "hunter2")
        application.extensions["appbuilder"] = SimpleNamespace(get_url_for_login="/login/")
        with application.app_context():
            application.config.from_pyfile(str(sso.SCRIPT))
        application.add_url_rule("/oauth-authorized/sso", "done", lambda: flask.redirect("/"))
        application.add_url_rule("/", "home", lambda: "Welcome")
        return application

    return load


def test_the_settings_reach_fab(app):
    config = app(scopes=["openid", "groups"]).config

    assert config["AUTH_TYPE"] == 4
    assert config["AUTH_ROLES_MAPPING"] == {"data-platform": ["Admin"], "analysts": ["Viewer"]}
    assert config["AUTH_ROLES_SYNC_AT_LOGIN"] is True, "a role follows its group"
    assert config["AUTH_USER_REGISTRATION"] is True
    assert config["AUTH_USER_REGISTRATION_ROLE"] == "Public"
    (provider,) = config["OAUTH_PROVIDERS"]
    assert provider["name"] == "sso"
    remote = provider["remote_app"]
    discovery = f"{SSO['issuer']}/.well-known/openid-configuration"
    assert remote["server_metadata_url"] == discovery
    assert (remote["client_id"], remote["client_secret"]) == ("airflow", "hunter2")
    assert remote["client_kwargs"] == {
        "scope": "openid groups",
        "code_challenge_method": "S256",
        "timeout": 10,
        "verify": True,
    }


def test_a_private_ca_is_the_only_one_that_is_trusted(app, tmp_path):
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----")

    (provider,) = app(ca_file=str(pem)).config["OAUTH_PROVIDERS"]
    assert provider["remote_app"]["client_kwargs"]["verify"] == "/etc/sso-ca/ca.pem"


def test_entra_id_has_the_name_that_fab_knows(app):
    (provider,) = app(issuer="https://login.microsoftonline.com/0a/v2.0").config["OAUTH_PROVIDERS"]

    assert provider["name"] == "azure", "FAB then reads the roles of the ID token"


@pytest.mark.parametrize(
    ("roles", "goes_to"),
    [(["Public", "Admin"], "/"), (["Public"], "/login/"), ([], "/login/")],
)
def test_only_a_user_with_a_role_is_signed_in(app, roles, goes_to):
    application = app()
    application.user.username = "nora"
    application.user.roles = [SimpleNamespace(name=role) for role in roles]
    client = application.test_client()

    answer = client.get("/oauth-authorized/sso")

    assert answer.location == goes_to
    assert application.user.is_authenticated == (goes_to == "/")
    with client.session_transaction() as session:
        shown = dict(session.get("_flashes", []))
    if goes_to == "/":
        assert shown == {}
    else:
        assert shown["danger"].startswith("You signed in as nora, but none of your groups has a ")
        assert "data-platform, analysts" in shown["danger"]


def test_other_pages_are_as_they_were(app):
    application = app()
    application.user.username = "nora"

    assert application.test_client().get("/").text == "Welcome"
    application.user.username = None
    assert application.test_client().get("/oauth-authorized/sso").location == "/"


def test_helm_finds_no_template_in_the_file():
    assert "{{" not in sso.SCRIPT.read_text(), "the chart renders the file as a template"


def test_no_secret_is_in_the_settings_of_the_pod():
    airflow = AirflowSettings.model_validate({"sso": SSO})
    assert "secret" not in json.loads(sso.configuration(airflow, airflow.sso))
