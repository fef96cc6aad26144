import re
from dataclasses import fields

import pulumi
import pytest
import yaml

import settings
from ops.docs import settings_table
from settings.network import with_kind
from settings.rotation import RotationSettings
from tests.unit.settings.stacks import (
    EKS,
    EXISTING_NETWORK,
    GITHUB_APP,
    INGRESS,
    LOCAL,
    REPO,
    SSH_KEY,
    TOKEN,
)

OPEN = {"kind": "eks", "public_access_cidrs": ["203.0.113.0/24"]}
SSH = {"repo": "git@git.example:dags.git", "auth": SSH_KEY}
# Together they have every kind and every section, and set every required setting.
SSO = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}
STACKS = (
    EKS,
    {**EKS, "network": EXISTING_NETWORK},
    {**EKS, "cluster": OPEN, "airflow": {"ingress": INGRESS}},
    {**EKS, "dags": {"repo": REPO, "auth": TOKEN}, "airflow": {"sso": SSO}},
    {**LOCAL, "dags": {"repo": REPO, "auth": GITHUB_APP}, "workers": {}},
    {**LOCAL, "dags": SSH},
    {**LOCAL, "database": {"kind": "existing", "host": "pg.rds.amazonaws.com"}},
)
REQUIRED = {
    "`cluster.kind`",
    "`cluster.context` (existing)",
    "`network.vpc_id` (existing)",
    "`network.private_subnet_ids` (existing)",
    "`database.kind`",
    "`database.host` (existing)",
    "`dags.repo`",
    "`dags.auth.known_hosts` (ssh)",
    "`dags.auth.client_id` (github_app)",
    "`dags.auth.installation_id` (github_app)",
    "`airflow.sso.issuer`",
    "`airflow.sso.client_id`",
    "`airflow.sso.roles`",
    "`airflow.ingress.host`",
    "`airflow.ingress.certificate_arn`",
    "`airflow.ingress.allowed_cidrs`",
}


def cells(text):
    """The cells of each line of a Markdown table, by its first cell."""
    lines = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in text.splitlines()[2:]]
    names = [name for name, *_ in lines]
    assert sorted(names) == sorted(set(names)), "one line per setting"
    return {name: rest for name, *rest in lines}


_, SETTINGS, SECRETS = re.split(r"\n\n(?=\| )", settings_table.page())
SETTINGS = cells(SETTINGS.partition("\n\n")[0])
SECRETS = cells(SECRETS)


def leaves(value, key="", kind=None):
    """Each setting by its name in the table."""
    if not isinstance(value, dict) or not value:
        yield f"`{key}`" + (f" ({kind})" if kind else ""), value
        return
    for name, inner in value.items():
        path = f"{key}.{name}" if key else name
        yield from leaves(inner, path, kind if name == "kind" else value.get("kind", kind))


def test_every_setting_has_a_row_with_its_real_default():
    expected = dict.fromkeys(REQUIRED, "required")
    for given in STACKS:
        in_file = dict(leaves(given))
        read = settings.Settings.model_validate(with_kind(given)).model_dump(mode="json")
        for name, value in leaves(read):
            if name not in REQUIRED and name not in in_file:
                text = yaml.safe_dump(value, default_flow_style=True).splitlines()[0]
                expected[name] = "not set" if value is None else f"`{text}`"
    defaults = {
        name: default.split(" in ")[0]
        for name, (values, default, _) in SETTINGS.items()
        if values != "section"
    }

    sections = {name for name, (values, *_) in SETTINGS.items() if values == "section"}
    # A section that may be absent and has a `kind`.
    sections |= {name.replace(".kind", "") for name in SETTINGS if name.endswith(".kind`")}
    assert {n: text for n, text in expected.items() if n not in sections} == defaults


@pytest.mark.parametrize("table", [SETTINGS, SECRETS], ids=["settings", "secrets"])
def test_no_cell_is_empty(table):
    assert [name for name, row in table.items() if not all(row)] == []


def test_every_secret_has_a_row_with_its_command():
    names = [f"`pulumi config set --secret {field.name}`" for field in fields(settings.Secrets)]

    assert list(SECRETS) == names


@pytest.mark.parametrize(
    ("dags", "name"),
    [
        ({"repo": REPO, "auth": TOKEN}, "git_token"),
        (SSH, "git_ssh_key"),
        ({"repo": REPO, "auth": GITHUB_APP}, "github_app_key"),
    ],
)
def test_program_and_table_require_the_same_secret(deploy, dags, name):
    given = settings.Settings.model_validate({**LOCAL, "dags": dags})
    with pytest.raises(pulumi.RunError, match=name):
        deploy(lambda: settings.load_secrets(given))

    _, unset = SECRETS[f"`pulumi config set --secret {name}`"]
    assert unset == f"an error if `dags.auth.kind` is `{dags['auth']['kind']}`"


def test_the_table_says_when_the_client_secret_is_required():
    _, unset = SECRETS["`pulumi config set --secret sso_client_secret`"]
    assert unset == "an error if `airflow.sso` is set"


@pytest.mark.parametrize("name", ["fernet", "api", "jwt", "admin", "database", "redis", "webhook"])
def test_a_generated_secret_names_its_rotation_setting(name):
    command = re.compile(rf"`pulumi config set --secret (git_)?{name}_\w+`")
    (row,) = [row for key, row in SECRETS.items() if command.fullmatch(key)]

    meaning = RotationSettings.model_fields[name].description
    assert row == [meaning, f"generated; raise `rotation.{name}` to replace it"]
