import pulumi
import pytest

import settings
from ops.plan.mock_engine import Secret
from settings.dags import DagSettings, GithubAppAuth, SshAuth, TokenAuth
from settings.sso import SsoSettings
from tests.unit.settings.stacks import GITHUB_APP, REPO, SSH_KEY, TOKEN

# Keys of stack files: a renamed secret would be generated anew.
NAMES = [
    "fernet_key",
    "api_secret_key",
    "jwt_secret",
    "admin_password",
    "database_password",
    "redis_password",
    "git_token",
    "git_ssh_key",
    "github_app_key",
    "git_webhook_secret",
    "sso_client_secret",
]


def test_a_secret_is_marked_even_if_configured_in_plain_text(deploy):
    def program():
        for name, value in vars(settings.load_secrets(DagSettings(repo=REPO))).items():
            pulumi.export(name, value)

    config = {f"airflow-platform:{name}": f"hunter2-{name}" for name in NAMES}
    exports = deploy(program, config=config).exports

    assert sorted(exports) == sorted(NAMES)
    for name, value in exports.items():
        assert isinstance(value, Secret), f"the state would contain {name} in plain text"
        assert value.value == f"hunter2-{name}"


@pytest.mark.parametrize(
    ("repo", "auth", "name"),
    [
        (REPO, TokenAuth(**TOKEN), "git_token"),
        ("git@github.com:example/dags.git", SshAuth(**SSH_KEY), "git_ssh_key"),
        (REPO, GithubAppAuth(**GITHUB_APP), "github_app_key"),
    ],
)
def test_the_secret_of_dags_auth_is_required(deploy, repo, auth, name):
    def program():
        settings.load_secrets(DagSettings(repo=repo, auth=auth))

    with pytest.raises(pulumi.RunError, match=f"airflow-platform:{name}"):
        deploy(program)
    deploy(program, config={f"airflow-platform:{name}": "hunter2"})


def test_every_other_secret_is_optional(deploy):
    read = {}
    deploy(lambda: read.update(vars(settings.load_secrets(DagSettings(repo=REPO)))))

    assert read == dict.fromkeys(NAMES)


def test_the_client_secret_of_sso_is_required(deploy):
    sso = SsoSettings(issuer="https://i.example", client_id="airflow", roles={"ops": "Admin"})

    def program():
        settings.load_secrets(DagSettings(repo=REPO), sso)

    with pytest.raises(pulumi.RunError, match="airflow-platform:sso_client_secret"):
        deploy(program)
    deploy(program, config={"airflow-platform:sso_client_secret": "hunter2"})
