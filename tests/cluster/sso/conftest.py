"""The stack `local` behind a load balancer with two API servers, and Keycloak."""

import contextlib
from dataclasses import dataclass

import pytest

from tests.harness.browser import Browser
from tests.harness.certificates import Authority
from tests.harness.keycloak import HOST, ISSUER, Keycloak
from tests.harness.load_balancer import LoadBalancer, load_balancer

UI_HOST = "airflow.example.test"
UI = f"https://{UI_HOST}"
CLIENT_SECRET = "the-client-secret"  # of realm.json
ROLES = {"data-platform": "Admin", "analysts": "Viewer"}


@pytest.fixture(scope="package")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="package")
def keycloak(cluster, authority):
    with Keycloak.install(cluster, authority) as installed:
        yield installed


@pytest.fixture(scope="package")
def installed(checkout, up_and_down, keycloak, authority, request):
    """The output of `make up`."""
    with Browser.open():
        pass  # without a browser, fail before the minutes of `make up`
    sso = {
        "issuer": ISSUER,
        "client_id": "airflow",
        "roles": ROLES,
        "ca_file": str(authority.file),
    }
    airflow = {
        "image": request.config.getoption("--sso-image"),
        "base_url": UI,
        "replicas": {"api_server": 2},
        "sso": sso,
    }
    checkout.change("local", airflow=airflow)
    checkout.configure("local", sso_client_secret=CLIENT_SECRET)
    with up_and_down(checkout) as output:
        yield output


@dataclass(frozen=True)
class Site:
    """Airflow and Keycloak under their names, as a browser sees them."""

    balancer: LoadBalancer
    keycloak: Keycloak

    @contextlib.contextmanager
    def browser(self):
        names = f"MAP {UI_HOST}:443 127.0.0.1:{self.balancer.port}"
        names += f",MAP {HOST}:443 127.0.0.1:{self.keycloak.port}"
        with Browser.open(
            f"--host-resolver-rules={names}", "--ignore-certificate-errors"
        ) as browser:
            yield browser

    @contextlib.contextmanager
    def signed_in(self, user, tmp_path, shows="Welcome"):
        """A browser after the sign-in of a user, on a page with the text `shows`."""
        with self.browser() as browser:
            browser.go(f"{UI}/")
            browser.click("#btn-signin-sso")
            browser.fill("#username", user)
            browser.fill("#password", f"password-of-{user}")
            browser.click("#kc-login")
            try:
                browser.wait_for_text(shows)
            finally:
                browser.screenshot(tmp_path / f"{user}.png")
            yield browser


@pytest.fixture
def site(installed, cluster, authority, keycloak, tmp_path):
    certificate = tmp_path / "airflow.pem"
    certificate.write_text("".join(authority.issue(UI_HOST)))
    with contextlib.ExitStack() as stack:
        pods = sorted(cluster.ready("api-server"))
        ports = [stack.enter_context(cluster.forward(f"pod/{pod}", 8080)) for pod in pods]
        balancer = stack.enter_context(load_balancer(certificate, ports))
        yield Site(balancer, keycloak)
