import re
from dataclasses import fields

import pulumi
import pytest
import yaml

import settings
from ops.docs import settings_table
from settings.dags import DagSettings
from settings.rotation import RotationSettings

GIT = "https://git.example/dags.git"
CLOSED = {"kind": "eks", "private_endpoint": True}
OPEN = {"kind": "eks", "public_access_cidrs": ["203.0.113.0/24"]}
RDS = {"kind": "rds"}
LOCAL = {"cluster": {"kind": "existing", "context": "kind"}, "database": {"kind": "container"}}
APP = {"kind": "github_app", "client_id": "Iv23", "installation_id": 42}
SSH = {"kind": "ssh", "known_hosts": "git.example ssh-ed25519 AAAA"}
INGRESS = {
    "host": "airflow.example.com",
    "certificate_arn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
    "allowed_cidrs": ["10.0.0.0/8"],
}
# Together they have every kind and every section, and what one of them sets another one leaves out.
STACKS = (
    {"cluster": CLOSED, "network": {}, "database": RDS, "dags": {"repo": GIT}},
    {
        "cluster": OPEN,
        "database": RDS,
        "dags": {"repo": GIT, "auth": {"kind": "token"}},
        "airflow": {"ingress": INGRESS},
    },
    LOCAL | {"dags": {"repo": GIT, "auth": APP}},
    LOCAL | {"dags": {"repo": "git@git.example:dags.git", "auth": SSH}, "git_server": {}},
)
SECTIONS = {"`network`", "`git_server`", "`airflow.ingress`", "`rotation`"}


def table(text):
    """The cells of each line of a Markdown table, by its first cell."""
    lines = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in text.splitlines()[2:]]
    names = [name for name, *_ in lines]
    assert sorted(names) == sorted(set(names)), "a reader must find one line for a setting"
    return {name: cells for name, *cells in lines}


def leaves(value, key="", kind=None):
    """Each setting by the name that the table gives it."""
    if not isinstance(value, dict) or not value:
        yield f"`{key}`" + (f" ({kind})" if kind else ""), value
        return
    for name, inner in value.items():
        path = f"{key}.{name}" if key else name
        yield from leaves(inner, path, kind if name == "kind" else value.get("kind", kind))


def test_the_table_has_every_setting_once_with_the_default_that_it_takes():
    expected = {}
    for given in STACKS:
        set_here = dict(leaves(given))
        taken = settings.Settings.model_validate(given).model_dump(mode="json")
        for name, value in leaves(taken):
            if name in set_here:
                expected.setdefault(name, "required")
            elif name not in SECTIONS:
                text = yaml.safe_dump(value, default_flow_style=True).splitlines()[0]
                expected[name] = "not set" if value is None else f"`{text}`"
    written = table(settings_table.settings_table())
    shown = {name: default.split(" in ")[0] for name, (_, default, _) in written.items()}

    assert {n: shown[n] for n in shown if n not in SECTIONS} == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("`workers.max`", "integer, 1 to 500"),
        ("`workers.cpu`", "number, 0.01 to 192 cores"),
        ("`redis.memory_mb`", "integer, 64 to 16384 MiB"),
        ("`dags.poll_seconds`", "number, 0.5 to 3600 seconds"),
        ("`airflow.parallelism`", "integer, from 1"),
        ("`network.nat`", "`single`, `per_az`"),
        ("`network.cidr`", "IPv4 network"),
        ("`cluster.version` (eks)", r"text `^1\.\d\d$`"),
        ("`cluster.protect` (eks)", "`true`, `false`"),
        ("`airflow.ingress.allowed_cidrs`", "list: IPv4 network, one at least"),
        # A bare | would end the cell.
        ("`dags.auth.known_hosts` (ssh)", r"text `\S+ (ssh\|ecdsa)-\S+ \S+`"),
        ("`dags.auth.kind`", "`none`, `token`, `ssh`, `github_app`"),
        ("`airflow.config`", "map"),
        ("`queues`", "map"),
        ("`airflow.architectures`", "list: `amd64`, `arm64`, one at least"),
        ("`workers.architecture`", "`amd64`, `arm64`"),
    ],
)
def test_the_table_says_what_a_setting_may_be(name, values):
    assert table(settings_table.settings_table())[name][0] == values


def test_the_table_keeps_the_order_of_the_sections():
    sections = [re.split(r"[`.]", name)[1] for name in table(settings_table.settings_table())]
    assert list(dict.fromkeys(sections)) == list(settings.Settings.model_fields), (
        "docs/settings_table.py lacks a section of settings.Settings, or has another order"
    )


def test_what_an_optional_section_requires_is_required_only_there():
    written = table(settings_table.settings_table())
    assert written["`airflow.ingress.host`"][1] == "required in `airflow.ingress`"
    assert written["`dags.repo`"][1] == "required"


@pytest.mark.parametrize("made", [settings_table.settings_table, settings_table.secrets_table])
def test_every_line_says_what_it_is_about(made):
    assert [name for name, cells in table(made()).items() if not all(cells)] == [], (
        "add a `description` to these fields in sections/"
    )


def test_the_table_of_secrets_has_every_secret_and_how_to_set_it():
    command = "`pulumi config set --secret {}`"
    names = [command.format(field.name) for field in fields(settings.Secrets)]
    assert list(table(settings_table.secrets_table())) == names


@pytest.mark.parametrize(
    ("auth", "name"),
    [({"kind": "token"}, "git_token"), (SSH, "git_ssh_key"), (APP, "github_app_key")],
)
def test_a_secret_that_nobody_generates_is_called_for_by_the_program_and_by_the_table(
    deploy, auth, name
):
    repo = "git@git.example:dags.git" if auth["kind"] == "ssh" else GIT
    dags = DagSettings.model_validate({"repo": repo, "auth": auth})
    with pytest.raises(pulumi.RunError, match=name):
        deploy(lambda: settings.load_secrets(dags))

    _, unset = table(settings_table.secrets_table())[f"`pulumi config set --secret {name}`"]
    assert unset == f"an error if `dags.auth.kind` is `{auth['kind']}`"


@pytest.mark.parametrize("name", ["fernet", "api", "jwt", "admin", "database", "redis", "webhook"])
def test_a_secret_that_is_generated_names_the_setting_that_replaces_it(name):
    (line,) = [
        cells
        for command, cells in table(settings_table.secrets_table()).items()
        if command.removeprefix("`pulumi config set --secret ")
        .removeprefix("git_")
        .startswith(f"{name}_")
    ]
    meaning = RotationSettings.model_fields[name].description
    assert line == [meaning, f"generated; raise `rotation.{name}` to replace it"]
