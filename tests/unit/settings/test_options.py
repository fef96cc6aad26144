import json

import pytest
import yaml

import settings
from ops.stack_files import ROOT
from settings import options, versions
from settings.airflow import DERIVED_OPTIONS
from tests.unit.settings.stacks import EKS, INGRESS, KEY, LOCAL, changed

RELEASE = f"Airflow {versions.AIRFLOW}"


def test_the_option_list_is_of_the_default_version():
    assert options.known().version == versions.AIRFLOW, (
        "run `python -m ops.docs.airflow_options`: its docstring has the command"
    )


@pytest.mark.parametrize(
    ("option", "what"),
    [
        (
            "core.max_actve_runs_per_dag",
            f"is not an option of {RELEASE}; did you mean core.max_active_runs_per_dag?",
        ),
        (
            "dag_procesor.parsing_processes",
            f"dag_procesor is not a section of {RELEASE}; did you mean dag_processor.parsing_processes?",
        ),
        (
            "Core.load_examples",
            f"Core is not a section of {RELEASE}; did you mean core.load_examples?",
        ),
        ("core.Load_examples", f"is not an option of {RELEASE}; did you mean core.load_examples?"),
        (
            "core.parsing_processes",
            f"is not an option of {RELEASE}; did you mean dag_processor.parsing_processes?",
        ),
        ("core.zzzz", f"is not an option of {RELEASE}; remove it"),
        (
            "celery.worker_prefetch_multipler",
            f"is not an option of {RELEASE}; did you mean celery.worker_prefetch_multiplier?",
        ),
        # Names of Airflow 2.
        (
            "core.dag_concurrency",
            f"was renamed to core.max_active_tasks_per_dag, and {RELEASE} reads only that name",
        ),
        ("core.enable_xcom_pickling", f"was removed from {RELEASE}"),
        ("smtp.smtp_password", f"was removed from {RELEASE}; {options.SMTP}"),
        ("smtp.smtp_password_cmd", f"was removed from {RELEASE}; {options.SMTP}"),
        (
            "webserver.workers",
            "is void: it is the former name of api.workers, which has a value, too; remove it",
        ),
        (
            "webserver.base_url",
            "is void: it is the former name of api.base_url, which has a value, too; remove it",
        ),
        (
            "core.dags_are_paused_at_creation_cmd",
            f"is no option of {RELEASE}: only a secret can come from a command or a backend",
        ),
    ],
)
def test_an_option_that_airflow_does_not_read_is_refused(mistakes, option, what):
    section, name = option.split(".")

    assert mistakes(changed(EKS, "airflow.config", {section: {name: 1}})) == [
        f"airflow.config.{option}: {what}"
    ]


def test_a_former_name_beside_the_current_one_is_refused(mistakes):
    config = {"webserver": {"instance_name": "a"}, "api": {"instance_name": "b"}}

    (line,) = mistakes(changed(EKS, "airflow.config", config))

    assert line.startswith("airflow.config.webserver.instance_name: is void: it is the former name")


@pytest.mark.parametrize(
    "option",
    [
        "webserver.instance_name",  # Airflow reads it as api.instance_name
        "sentry.traces_sample_rate",
        "celery_broker_transport_options.max_connections",
        "common.io.xcom_objectstorage_path",
        "fab.option_of_a_later_provider",
        "my_plugin.anything",
        # Forms of a secret option, and names that only look like a secret.
        "sentry.sentry_dsn_cmd",
        "sentry.sentry_dsn_secret",
        "keycloak_auth_manager.client_secret_cmd",
        "keycloak_auth_manager.client_secret_secret",
        "my_plugin.password_cmd",
        "workers.secrets_backend",
        "workers.secrets_backend_kwargs",
        "api.ssl_key",
        "logging.google_key_path",
        "core.simple_auth_manager_passwords_file",
    ],
)
def test_every_other_option_is_accepted(load, option):
    section, _, name = option.rpartition(".")

    load(changed(EKS, "airflow.config", {section: {name: "/a"}}))


def test_an_option_of_a_later_airflow_is_refused(load, mistakes):
    given = changed(EKS, "airflow.config.state_store.backend", "x")

    load(changed(given, "airflow.version", "3.3.2"))
    assert mistakes(changed(given, "airflow.version", "3.2.2")) == [
        "airflow.config.state_store.backend: is new in Airflow 3.3, and airflow.version is 3.2.2; "
        "remove it"
    ]


def test_an_option_of_a_plugin_is_a_warning(deploy):
    given = changed(LOCAL, "airflow.config.my_plugin.colour", "red")

    found = deploy(settings.load, stack="prod", config={KEY: json.dumps(given)}).warnings

    assert [line for line in found if "my_plugin" in line] == [
        f"Pulumi.prod.yaml: {KEY}.airflow.config.my_plugin.colour: is not a known option of {RELEASE} "
        "or its providers: only code of your image can read it"
    ]


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("sentry.sentry_dsn", "x", "a secret"),
        ("keycloak_auth_manager.client_secret", "x", "a secret"),
        ("opensearch.password", "x", "a secret"),
        ("github.access_token", "x", "a secret by its name"),
        ("datadog.api_key", "x", "a secret by its name"),
        ("secrets.backend_kwargs", '{"token": "hvs.x"}', "a password in JSON"),
        ("elasticsearch.host", "https://u:hunter2@es", "a URL with a password"),
        ("my_plugin.dsn", f"https://{'0a' * 16}@o1.ingest.sentry.io/1", "a URL with a key"),
        ("my_plugin.hook", "https://hooks.slack.com/services/T1/B1/x1", "a Slack webhook"),
    ],
)
def test_a_secret_option_is_refused_with_its_place(mistakes, option, value, kind):
    section, name = option.split(".")

    (line,) = mistakes(changed(EKS, "airflow.config", {section: {name: value}}))

    assert line == (
        f"airflow.config.{option}: holds {kind}, and airflow.cfg is plain text; put it into a "
        f"Kubernetes Secret, and set airflow.secret_env.{options.variable(option)}: "
        "<name of the Secret>/<key>"
    )


@pytest.mark.parametrize("value", ['{"connections_prefix": "a"}', '{"token": "${TOKEN}"}'])
def test_arguments_without_a_secret_are_accepted(load, value):
    load(changed(EKS, "airflow.config.secrets.backend_kwargs", value))


def test_the_list_of_taken_names_is_complete():
    known = options.known()
    current = {known.moved[name] for name in known.still_read}
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "values").iterdir()]
    given = {f"{s}.{o}" for file in files for s, of in file.get("config", {}).items() for o in of}

    assert (current & given) - DERIVED_OPTIONS.keys() <= {*options.TAKEN}


@pytest.mark.parametrize("name", ["core.load_examples", "common.io.xcom_objectstorage_path"])
def test_a_variable_names_its_option(name):
    assert options.option_of(options.variable(name)) == name


@pytest.mark.parametrize(
    ("path", "given", "line"),
    [
        (
            "airflow.env",
            {"AIRFLOW__CORE__LOAD_EXAMPLES": True},
            "AIRFLOW__CORE__LOAD_EXAMPLES: is an Airflow option; set config.core.load_examples instead",
        ),
        ("airflow.env", {"AIRFLOW_HOME": "/a"}, "AIRFLOW_HOME: is fixed by the chart"),
        (
            "workers.env",
            {"AIRFLOW__CELERY__WORKER_CONCURRENCY": 2},
            "AIRFLOW__CELERY__WORKER_CONCURRENCY: is set by workers.concurrency",
        ),
        (
            "airflow.secret_env",
            {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "a/b"},
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD: is always the database of the stack",
        ),
        (
            "airflow.secret_env",
            {"AIRFLOW__SENTRY__SENTRY_DNS_": "a/b", "AIRFLOW__CORE__FERNETKEY": "a/b"},
            f"AIRFLOW__CORE__FERNETKEY: is not an option of {RELEASE}; did you mean core.fernet_key?",
        ),
        (
            "workers.secret_env",
            {"AIRFLOW_CONN_AIRFLOW_DB": "a/b"},
            "AIRFLOW_CONN_AIRFLOW_DB: is the connection of KEDA; use another connection id",
        ),
        (
            "airflow.env",
            {"AIRFLOW_CONN_AWS_DEFAULT": "aws://"},
            "AIRFLOW_CONN_AWS_DEFAULT: is the connection of the task logs; use another connection id",
        ),
        (
            "airflow.env",
            {"FORWARDED_ALLOW_IPS": "*"},
            "FORWARDED_ALLOW_IPS: is set by airflow.ingress",
        ),
    ],
)
def test_a_variable_that_has_another_place_is_refused(mistakes, path, given, line):
    ingress = changed(EKS, "airflow.ingress", INGRESS)

    assert mistakes(changed(ingress, path, given)) == [f"{path}.{line}"]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("VENDOR_TOKEN", "x", "a secret by its name"),
        ("AWS_SECRET_ACCESS_KEY", "x", "a secret by its name"),
        ("AIRFLOW_CONN_SHOP", "postgres://u:hunter2@shop/db", "a URL with a password"),
    ],
)
@pytest.mark.parametrize("path", ["airflow", "workers", "queues.etl"])
def test_a_secret_variable_is_refused_with_its_place(mistakes, path, name, value, kind):
    assert mistakes(changed(EKS, f"{path}.env", {name: value})) == [
        f"{path}.env.{name}: holds {kind}, and the stack file is plain text; put it into a Kubernetes "
        f"Secret, and set secret_env.{name}: <name of the Secret>/<key>"
    ]


def test_a_variable_has_one_value(mistakes):
    twice = changed(EKS, "airflow", {"env": {"A": 1, "B": 1}, "secret_env": {"A": "a/b"}})
    given = changed(twice, "queues.etl", {"secret_env": {"B": "a/b"}})

    assert mistakes(given) == [
        "airflow.env.A: is in secret_env, too; keep one of them",
        "queues.etl.secret_env.B: is set under airflow for all components, too; set it for each queue "
        "instead",
    ]


@pytest.mark.parametrize("reference", ["smtp", "Smtp/key", "smtp/a/b", "smtp/"])
def test_a_reference_is_a_secret_and_a_key(mistakes, reference):
    (line,) = mistakes(changed(EKS, "airflow.secret_env.A", reference))

    assert line.startswith("airflow.secret_env.A: ")


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", ""])
def test_a_variable_has_a_valid_name(mistakes, name):
    assert len(mistakes(changed(EKS, "airflow.env", {name: "x"}))) == 1


def test_variables_of_both_platforms_are_accepted(load):
    variables = {"env": {"REGION": "eu", "N": 1.5}, "secret_env": {"API_TOKEN": "vendor/token"}}

    for base in (EKS, LOCAL):
        given = load(changed(changed(base, "airflow", variables), "queues.etl.env", {"X": "1"}))
        assert given.airflow.env == variables["env"]
        assert given.airflow.secret_env == variables["secret_env"]
    load(changed(LOCAL, "airflow.env", {"AIRFLOW_CONN_AWS_DEFAULT": "aws://"}))


def test_the_default_queue_has_workers(mistakes, load):
    given = changed(EKS, "airflow.config.operators.default_queue", "etl")

    assert mistakes(given) == [
        "airflow.config.operators.default_queue: etl is no queue of this stack, and its tasks would "
        "never start; use one of default, or add queues.etl"
    ]
    load(changed(given, "queues.etl", {}))
