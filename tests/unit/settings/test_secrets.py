import pulumi
import pytest

import settings
from ops.plan.mock_engine import Secret
from settings import Settings
from settings.dags import DagSettings
from tests.unit.settings.stacks import GITHUB_APP, LOCAL, REPO, SSH_KEY, TOKEN, changed

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
    "keda_password",
    "image_pull_credentials",
]
WITH_PULL_SECRET = Settings.model_validate(changed(LOCAL, "images", {"pull_secret": "registry"}))


def test_a_secret_is_marked_even_if_configured_in_plain_text(deploy):
    def program():
        for name, value in vars(settings.load_secrets(WITH_PULL_SECRET)).items():
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
        (REPO, TOKEN, "git_token"),
        ("git@github.com:example/dags.git", SSH_KEY, "git_ssh_key"),
        (REPO, GITHUB_APP, "github_app_key"),
    ],
)
def test_the_secret_of_dags_auth_is_required(deploy, repo, auth, name):
    def program():
        given = changed(LOCAL, "dags", {"repo": repo, "auth": auth})
        settings.load_secrets(Settings.model_validate(given))

    with pytest.raises(pulumi.RunError, match=f"airflow-platform:{name}"):
        deploy(program)
    deploy(program, config={f"airflow-platform:{name}": "hunter2"})


def test_every_other_secret_is_optional(deploy):
    read = {}
    deploy(lambda: read.update(vars(settings.load_secrets(Settings.model_validate(LOCAL)))))

    assert read == dict.fromkeys(NAMES)


def test_the_password_of_an_existing_database_is_required(deploy):
    database = {"kind": "existing", "host": "pg", "tls": False}
    given = Settings.model_validate({**LOCAL, "database": database})

    with pytest.raises(pulumi.RunError, match="airflow-platform:database_password"):
        deploy(lambda: settings.load_secrets(given))


def test_credentials_of_a_registry_need_the_name_of_a_secret(deploy):
    config = {"airflow-platform:image_pull_credentials": "{}"}
    with pytest.raises(
        pulumi.RunError,
        match=r"Pulumi.prod.yaml:\n  airflow-platform:image_pull_credentials: needs images.pull_secret",
    ):
        deploy(
            lambda: settings.load_secrets(Settings.model_validate(LOCAL)),
            stack="prod",
            config=config,
        )


def test_each_repository_has_a_secret_of_its_own(deploy):
    repositories = {
        "sales": {"repo": REPO, "auth": TOKEN},
        "research": {"repo": "git@github.com:example/dags.git", "auth": SSH_KEY},
        "open": {"repo": REPO},
    }
    dags = DagSettings(repo=REPO, repositories=repositories)

    def program():
        for name, value in settings.load_logins(dags).items():
            pulumi.export(name, value)

    config = {
        "airflow-platform:git_token_sales": "hunter2-sales",
        "airflow-platform:git_ssh_key_research": "hunter2-research",
    }
    exports = deploy(program, config=config).exports
    assert {name: (type(value), value.value) for name, value in exports.items()} == {
        "sales": (Secret, "hunter2-sales"),
        "research": (Secret, "hunter2-research"),
    }
    for missing in config:
        with pytest.raises(pulumi.RunError, match=missing):
            deploy(program, config={key: text for key, text in config.items() if key != missing})


def test_the_client_secret_of_sso_is_required(deploy):
    sso = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}
    stack = Settings.model_validate(changed(LOCAL, "airflow", {"sso": sso}))

    with pytest.raises(pulumi.RunError, match="airflow-platform:sso_client_secret"):
        deploy(lambda: settings.load_secrets(stack))
    deploy(
        lambda: settings.load_secrets(stack),
        config={"airflow-platform:sso_client_secret": "hunter2"},
    )
