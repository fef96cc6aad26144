"""The plan of each stack: resources, secrets, chart values and broken rules."""

import difflib
import json
from functools import cache

import pytest

from ops import stack_files
from ops.docs import expected_plans
from ops.plan import fake_cloud, formats, report
from ops.plan.report import airflow_values
from policies import advisories
from policies.chart_values import merge
from policies.view import at
from settings.versions import AIRFLOW_CHART
from tests.unit.ops.plan.conftest import ROOT, SETTINGS, config_of, run_stack
from tests.unit.settings.stacks import REPO, SSH_KEY, TOKEN

STACKS = stack_files.stack_names()


def test_only_existing_stacks_have_an_expected_plan():
    files = sorted(path.stem for path in (ROOT / expected_plans.FOLDER).glob("*.txt"))

    assert files == STACKS, f"run `make docs`, delete {expected_plans.FOLDER}/ of deleted stacks"


@pytest.mark.parametrize("name", STACKS)
def test_a_plan_is_the_expected_one(committed_plan, name):
    expected = (ROOT / expected_plans.FOLDER / f"{name}.txt").read_text()

    code, out, err = committed_plan(name)

    assert (code, err) == (0, "")
    if out != expected:
        changed = difflib.unified_diff(
            expected.splitlines(), out.splitlines(), "expected", "now", n=0
        )
        shown = "\n".join(line[:200] for line in [*changed][:30])
        pytest.fail(
            f"the plan of {name} has changed: run `make docs` and review the diff\n{shown}",
            pytrace=False,
        )


@pytest.mark.parametrize("name", STACKS)
def test_the_plan_shows_every_resource_and_its_protection(stack, name):
    snapshot, settings = stack(name)

    first, *lines = formats.text(report.make(name, settings, snapshot))
    tree = [line.split("  ") for line in lines[: lines.index("")]]
    shown = sorted(next(filter(None, line)).partition(" ")[2] for line in tree)
    plain = sorted(r.name + " [protected]" * r.protect for r in snapshot.resources.values())
    assert first == f"{name}: {len(snapshot.resources)} resources"
    assert shown == plain


@pytest.mark.parametrize("name", STACKS)
def test_the_json_plan_has_the_same_data(committed_plan, name):
    def not_json(constant):
        pytest.fail(f"{constant} is not JSON")

    code, out, err = committed_plan(name, "--json")
    text = (ROOT / expected_plans.FOLDER / f"{name}.txt").read_text()
    printed_plan = json.loads(out, parse_constant=not_json)

    assert (code, err) == (0, "")
    assert (printed_plan["stack"], printed_plan["broken_rules"]) == (name, [])
    for resource in printed_plan["resources"]:
        assert (f" {resource['name']} [protected]" in text) is resource["protect"]
    assert printed_plan["chart_values"]["executor"] == "CeleryExecutor"
    assert printed_plan["exports"]["dagsRepository"] == config_of(name)[SETTINGS]["dags"]["repo"]
    for limit in printed_plan["limits"]:
        assert f"\n  {limit['name']}: {limit['needed']} of {limit['available']} (" in text


def test_the_json_plan_has_parents_and_dependencies(committed_plan):
    _, out, _ = committed_plan("prod", "--json")
    resources = {r["urn"]: r for r in json.loads(out)["resources"]}
    (release,) = [r for r in resources.values() if r["name"] == "airflow-release"]

    assert resources[release["parent"]]["name"] == "airflow"
    assert release["type"] == "kubernetes:helm.sh/v3:Release"
    assert "airflow-secrets-metadata" in {resources[urn]["name"] for urn in release["depends_on"]}
    assert release["inputs"]["version"] == AIRFLOW_CHART.version


SECRET_NAMES = [
    *("fernet_key", "api_secret_key", "jwt_secret", "admin_password"),
    *("database_password", "redis_password", "git_token", "git_ssh_key"),
]


@pytest.fixture
def printed(plan, monkeypatch):
    """Text and JSON of a plan, and the content of its Kubernetes Secrets."""

    def run(stack):
        monkeypatch.setattr(stack_files, "run_stack", cache(run_stack))
        out = "".join(plan("--stack", stack, *form)[1] for form in ([], ["--json"]))
        snapshot, _ = stack_files.run_stack(stack)
        secrets = snapshot.all("kubernetes:core/v1:Secret")
        return out, str([kept.value for s in secrets for kept in s.inputs["stringData"].values()])

    return run


@pytest.mark.parametrize(
    ("base", "dags"),
    [
        ("local", {"repo": "git@github.com:example/dags.git", "auth": SSH_KEY}),
        ("prod", {"repo": REPO, "auth": TOKEN}),
    ],
    ids=["local-ssh", "prod-token"],
)
def test_the_plan_shows_no_configured_secret(printed, stack_file, base, dags):
    config = config_of(base)
    config[SETTINGS]["dags"] = dags
    for name in SECRET_NAMES:
        config[f"airflow-platform:{name}"] = {"secure": "v1:cipher"}
    stack_file({"config": config})

    out, hidden = printed("mine")

    assert "decrypted-" in hidden, "the program reads the secrets"
    assert "decrypted-" not in out
    assert out.count("[secret]") > 10


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_the_plan_shows_no_generated_secret(printed, monkeypatch, stack):
    kind = "random:index/randomPassword:RandomPassword"
    monkeypatch.setitem(fake_cloud.COMPUTED, kind, lambda *_: {"result": "canary"})

    out, hidden = printed(stack)

    assert hidden.count("canary") > 5, "the program reads the secrets"
    assert "canary" not in out


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_broken_rule_is_listed_and_fails_the_command(plan, stack_file, form):
    config = config_of("prod")
    config["aws:defaultTags"]["tags"]["stack"] = "mine"
    program = stack_file({"config": config}).with_name("__main__.py")
    stray = 'import pulumi_kubernetes as k8s\nk8s.core.v1.ConfigMap("stray", data={})\n'
    program.write_text(program.read_text() + stray)

    code, out, err = plan("--stack", "mine", *form)

    assert (code, err) == (1, "")
    assert (
        "explicit-kubernetes-provider: stray: the resource uses the default Kubernetes provider. "
        in out
    )
    if not form:
        assert "Broken rules: 1" in out.splitlines()


def test_chart_values_are_merged_like_helm_merges_them():
    base = {"keep": 1, "map": {"a": 1, "b": {"c": 1}}, "list": [1, 2], "map-to-text": {"a": 1}}
    over = {"map": {"b": {"d": 2}}, "list": [3], "map-to-text": "x", "new": {}}

    assert merge(base, over) == {
        "keep": 1,
        "map": {"a": 1, "b": {"c": 1, "d": 2}},
        "list": [3],
        "map-to-text": "x",
        "new": {},
    }
    assert base["map"] == {"a": 1, "b": {"c": 1}}, "merging must not change its arguments"


def test_wired_values_override_the_value_files(stack):
    snapshot, _ = stack("prod")
    merged = airflow_values(snapshot)

    assert at(merged, "executor") == "CeleryExecutor", "values/airflow.yaml"
    assert at(merged, "apiServer.podDisruptionBudget.enabled") is True, "values/aws.yaml"
    assert at(merged, "apiServer.replicas") == 2, "the settings"
    assert at(merged, "apiServer.no.such.value") is None


def test_the_plan_shows_what_supports_each_version(committed_plan):
    _, out, _ = committed_plan("prod")

    shown = out.partition("\nVersions\n")[2].partition("\n\n")[0].splitlines()
    assert [line.strip() for line in shown] == [
        "Airflow 3.3.2: tested by make check, make chart-test, make e2e, make engine, "
        "make bench-workers",
        "Kubernetes 1.35: standard support of EKS ends on 2027-03-27",
        "KEDA 2.20.2: tested with Kubernetes 1.33 to 1.35",
        "PostgreSQL 16: standard support of RDS ends on 2029-02-28",
        f"Security advisories: reviewed on {advisories.REVIEWED}",
    ]


def test_a_stack_without_aws_or_keda_shows_fewer_versions(stack):
    assert list(dict(report.versions_of(stack("local")[1]))) == [
        "Airflow 3.3.2",
        "Security advisories",
    ]


def test_a_kubernetes_version_without_a_date_is_left_to_its_rule(stack):
    _, settings = stack("prod")
    cluster = settings.cluster.model_copy(update={"version": "1.99"})

    shown = dict(report.versions_of(settings.model_copy(update={"cluster": cluster})))

    assert "Kubernetes 1.99" not in shown
