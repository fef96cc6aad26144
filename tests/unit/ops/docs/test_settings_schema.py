import json
from copy import deepcopy

import pulumi
import pytest
import yaml
from jsonschema import Draft7Validator

import settings
from ops.docs.settings_schema import stack_file_schema
from ops.stack_files import ROOT, stack_names, stack_path
from tests.unit.settings.stacks import (
    EKS,
    EXISTING_NETWORK,
    GITHUB_APP,
    INGRESS,
    KEY,
    LOCAL,
    REPO,
    SSH_KEY,
    TOKEN,
    changed,
)

MODELINE = "# yaml-language-server: $schema=./settings.schema.json"
SCHEMA = Draft7Validator(json.loads((ROOT / "settings.schema.json").read_text()))


def errors(given, **config):
    """Paths and messages of the schema for a stack file with these settings."""
    file = {"config": {KEY: deepcopy(given), **config}}
    return [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(file)]


@pytest.fixture
def refused(deploy):
    """Whether the program refuses these settings."""

    def run(given):
        try:
            deploy(lambda: settings.parse(given, KEY) and None)
        except pulumi.RunError:
            return True
        return False

    return run


def test_the_schema_is_valid():
    Draft7Validator.check_schema(stack_file_schema())


@pytest.mark.parametrize("name", stack_names())
def test_a_committed_stack_file_matches_the_schema(name):
    text = stack_path(name).read_text()

    assert text.splitlines()[0] == MODELINE, "editors find the schema by this comment"
    assert [error.message for error in SCHEMA.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "given",
    [
        EKS,
        LOCAL,
        changed(EKS, "cluster", {"kind": "eks", "public_access_cidrs": ["0.0.0.0/0"]}),
        changed(EKS, "network", {"kind": "new", "az_count": 3}),
        changed(EKS, "network", EXISTING_NETWORK),
        changed(EKS, "airflow.ingress", INGRESS),
        changed(EKS, "airflow.config", {"plugin": {"a": 1, "b": "x", "c": True, "d": 0.5}}),
        changed(EKS, "queues", {"etl": {"max": 2, "cpu": 0.5}, "high-memory": {}}),
        changed(EKS, "dags", {"repo": REPO, "auth": TOKEN}),
        changed(EKS, "dags", {"repo": REPO, "auth": GITHUB_APP, "tag": None}),
        changed(EKS, "dags", {"repo": "git@host:dags.git", "auth": SSH_KEY}),
        changed(EKS, "policies.exceptions", {"database-multi-az": "x" * 30}),
        changed(
            EKS,
            "dags.repositories",
            {"sales": {"repo": REPO, "auth": TOKEN}, "ml-2": {"repo": REPO}},
        ),
    ],
)
def test_program_and_schema_accept_valid_settings(refused, given):
    assert (errors(given), refused(given)) == ([], False)


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (EKS, "worker", {}),
        (EKS, "workers.maks", 3),
        (EKS, "queues.etl.maks", 3),
        (EKS, "cluster.context", "kind"),
        (EKS, "dags.auth", {}),
        (EKS, "dags.auth", {"kind": "token", "user": "x"}),
        (EKS, "dags.auth", {"kind": "ssh"}),
        (EKS, "cluster.kind", "gke"),
        (EKS, "workers.max", 501),
        (EKS, "workers.max", "4"),
        (EKS, "workers.max", True),
        (EKS, "workers.cpu", 0.001),
        (EKS, "airflow.parallelism", 0),
        (EKS, "network.az_count", 4),
        (EKS, "network.cidr", "10.0.0.0/16/1"),
        (EKS, "network.nat", "none"),
        (EKS, "network.kind", "old"),
        (EKS, "network", {"kind": "existing"}),
        (EKS, "network.vpc_id", "vpc-00000001"),
        (changed(EKS, "network", EXISTING_NETWORK), "network.cidr", "10.0.0.0/16"),
        (changed(EKS, "network", EXISTING_NETWORK), "network.private_subnet_ids", []),
        (EKS, "database.instance_class", "db.t3.8xlarge"),
        (EKS, "dags.commit", "abc1234"),
        (EKS, "dags.repo", "example/dags"),
        (EKS, "airflow.base_url", "https://a.example.com/"),
        (EKS, "airflow.config.core.parallelism", [1]),
        (EKS, "airflow.architectures", []),
        (EKS, "queues.ETL", {}),
        (EKS, "queues.default", {}),
        (EKS, "dags.repositories.Sales", {"repo": REPO}),
        (EKS, "dags.repositories.dags", {"repo": REPO}),
        (EKS, "dags.repositories.sales", {"repo": REPO, "mode": "bundle"}),
        (EKS, "policies.exceptions.no-such-rule", "x" * 30),
        (EKS, "policies.exceptions.database-multi-az", "too short"),
        (EKS, "dags", {}),
        (LOCAL, "cluster.version", "1.35"),
        (LOCAL, "database.multi_az", True),
    ],
)
def test_program_and_schema_refuse_invalid_settings(refused, base, path, value):
    given = changed(base, path, value)

    assert refused(given)
    assert errors(given) != [], "an editor would not report the mistake"


def test_a_misspelled_key_is_named():
    assert errors(changed(EKS, "workers.maks", 3)) == [
        f"$.config['{KEY}'].workers: Additional properties are not allowed ('maks' was unexpected)"
    ]


@pytest.mark.parametrize(
    "config",
    [
        {"airflow-platform:git_token": {"secure": "v1:abc"}},
        {"airflow-platform:git_ssh_key_data-science": {"secure": "v1:abc"}},
        {"aws:region": "eu-west-1", "aws:defaultTags": {"tags": {"stack": "dev"}}},
        {"kubernetes:context": "kind", "other:key": [1]},
    ],
)
def test_secrets_and_other_providers_are_accepted(config):
    assert errors(EKS, **config) == []


@pytest.mark.parametrize(
    "config",
    [
        {"airflow-platform:git_tokn": {"secure": "v1:abc"}},
        {"airflow-platform:setings": {}},
        {"airflow-platform:git_token": "plain text"},
        {"airflow-platform:git_token": {"secret": "v1:abc"}},
        {"airflow-platform:git_token_sales": "plain text"},
        {"airflow-platform:git_token_Sales": {"secure": "v1:abc"}},
        {"aws:region": 1},
    ],
)
def test_misspelled_and_plain_text_secrets_are_refused(config):
    assert errors(EKS, **config) != []


def test_keys_of_the_pulumi_cli_are_accepted():
    file = {
        "config": {KEY: EKS},
        "secretsprovider": "awskms://alias/pulumi",
        "encryptedkey": "AQ==",
        "encryptionsalt": "v1:abc",
    }

    assert list(SCHEMA.iter_errors(file)) == []
    assert list(SCHEMA.iter_errors({"confg": {KEY: EKS}})) != []
