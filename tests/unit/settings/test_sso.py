import pytest

from tests.unit.settings.stacks import EKS, INGRESS, changed

SSO = {
    "issuer": "https://keycloak.example.com/realms/example",
    "client_id": "airflow",
    "roles": {"data-platform": "Admin"},
}


def with_sso(**changes):
    return changed(EKS, "airflow.sso", {**SSO, **changes})


@pytest.mark.parametrize(
    ("issuer", "provider"),
    [
        (SSO["issuer"], "sso"),
        ("https://example.okta.com", "sso"),
        ("https://login.microsoftonline.com/0a1b/v2.0", "azure"),
        ("https://login.microsoftonline.us/0a1b/v2.0", "azure"),
    ],
)
def test_the_issuer_decides_where_fab_reads_the_groups(load, issuer, provider):
    airflow = load({**with_sso(issuer=issuer)}).airflow

    assert airflow.sso.provider == provider
    assert airflow.sso_redirect.endswith(f"/auth/oauth-authorized/{provider}")


@pytest.mark.parametrize(
    ("airflow", "redirect"),
    [
        ({"ingress": INGRESS}, "https://a.example.com/auth/oauth-authorized/sso"),
        (
            {"base_url": "https://b.example.com/ui"},
            "https://b.example.com/ui/auth/oauth-authorized/sso",
        ),
        ({}, "http://localhost:8080/auth/oauth-authorized/sso"),
    ],
)
def test_the_redirect_uri_follows_the_url_of_the_ui(load, airflow, redirect):
    assert load({**EKS, "airflow": {**airflow, "sso": SSO}}).airflow.sso_redirect == redirect


@pytest.mark.parametrize("issuer", [SSO["issuer"], SSO["issuer"] + "/"])
def test_the_discovery_url_has_one_slash(load, issuer):
    found = load(with_sso(issuer=issuer)).airflow.sso.discovery_url

    assert found == SSO["issuer"] + "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"issuer": "http://k.example"}, "issuer", "should be an https:// URL without credentials"),
        ({"issuer": "https://u:pw@k.example"}, "issuer", "without credentials"),
        ({"issuer": "https://"}, "issuer", "should be an https:// URL"),
        (
            {"issuer": "https://k.example/.well-known/openid-configuration"},
            "issuer",
            "the program adds it",
        ),
        ({"client_id": ""}, "client_id", "at least 1 character"),
        ({"roles": {}}, "roles", "at least 1 item"),
        ({"roles": {"ops": "admin"}}, "roles.ops", "should be Admin, got 'admin'"),
        ({"session_hours": 0}, "session_hours", "greater than or equal to 1"),
        ({"session_hours": 721}, "session_hours", "less than or equal to 720"),
        ({"ca_file": "missing.pem"}, "ca_file", "should be a readable PEM file"),
    ],
)
def test_a_mistake_names_its_key(mistakes, changes, key, reason):
    (line,) = mistakes(with_sso(**changes))

    assert line.startswith(f"airflow.sso.{key}: ")
    assert reason in line
    assert "pw@" not in line


def test_a_role_of_your_own_is_accepted(load):
    assert load(with_sso(roles={"/team a": "Auditor"})).airflow.sso.roles == {"/team a": "Auditor"}
