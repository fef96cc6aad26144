import json
import time

import pulumi
import pytest
import yaml

import settings
from ops.plan.report import airflow_values
from ops.stack_files import ROOT, stack_names
from policies import chart_values
from settings import chart_keys
from settings.versions import AIRFLOW, AIRFLOW_CHART

CHART = f"chart airflow {AIRFLOW_CHART.version}"
STACK = {
    "cluster": {"kind": "existing", "context": "kind-airflow"},
    "database": {"kind": "container"},
    "dags": {"repo": "https://github.com/example/dags.git"},
}


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Write other content into one file of values/."""
    for file in chart_keys.VALUES:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("executor: CeleryExecutor\n")
    monkeypatch.setattr(chart_values, "ROOT", tmp_path)

    def write(file, content):
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (tmp_path / file).write_text(text)

    chart_values.read.cache_clear()
    yield write
    chart_values.read.cache_clear()


def mistakes(deploy, given):
    config = {"airflow-platform:settings": json.dumps(given)}
    with pytest.raises(pulumi.RunError) as report:
        deploy(settings.load, stack="local", config=config)
    return str(report.value).splitlines()


def test_every_values_file_is_checked():
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "values").iterdir()}

    assert files == set(chart_keys.VALUES), "add the file to VALUES in settings/chart_keys.py"


def test_the_key_list_is_of_the_pinned_chart():
    listed = json.loads(chart_keys.FILE.read_text())["chart"]

    assert f"chart {listed}" == CHART, (
        "run `make charts` and `python -m ops.docs.chart_keys charts/airflow-<version>.tgz`"
    )


def test_committed_values_have_known_keys():
    assert chart_keys.mistakes() == {file: [] for file in chart_keys.VALUES}


@pytest.mark.parametrize("name", stack_names())
def test_wired_values_have_known_keys(stack, name):
    known = json.loads(chart_keys.FILE.read_text())["keys"]
    merged = airflow_values(stack(name)[0])

    assert list(chart_keys.unknown_keys(merged, known)) == []


@pytest.mark.parametrize("file", chart_keys.VALUES)
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"schedulr": {}}, f"schedulr: is not a key of {CHART}; did you mean scheduler?"),
        (
            {"workers": {"celery": {"replica": 2}}},
            f"workers.celery.replica: is not a key of {CHART}; did you mean workers.celery.replicas?",
        ),
        ({"zzzz": 1}, f"zzzz: is not a key of {CHART}"),
        ({1: 2}, f"1: is not a key of {CHART}"),
        ([1], "should be a map of chart values"),
        (
            {"workers": {"env": []}},
            "workers.env: is deprecated in the chart; write workers.celery.env instead",
        ),
        (
            {"config": {"core": {"load_exampels": "False"}}},
            f"config.core.load_exampels: is not an option of Airflow {AIRFLOW}; did you mean "
            "core.load_examples?",
        ),
        (
            {"env": [{"name": "AIRFLOW__CORE__EXECUTOR", "value": "x"}]},
            "env.AIRFLOW__CORE__EXECUTOR: is always CeleryExecutor",
        ),
        (
            {"secret": [{"envName": "AIRFLOW__CORE__FERNET_KEY", "secretName": "a"}]},
            "secret.AIRFLOW__CORE__FERNET_KEY: is set by the Pulumi secret fernet_key",
        ),
        (
            {"scheduler": {"env": [{"name": "AIRFLOW_HOME", "value": "x"}]}},
            "scheduler.env.AIRFLOW_HOME: is fixed by the chart",
        ),
    ],
)
def test_a_mistake_is_reported_with_file_and_key(deploy, edited, file, content, line):
    edited(file, content)

    assert mistakes(deploy, STACK) == [f"{file}:", f"  {line}"]


def test_a_file_that_is_not_yaml_is_reported(deploy, edited):
    edited("values/aws.yaml", "scheduler: [")

    file, line, *_ = mistakes(deploy, STACK)
    assert file == "values/aws.yaml:"
    assert line.startswith("  should be a readable YAML file (")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"labels": {"any": "x"}},
        {"config": {"any_section": {"any_option": 1}}},
        {"env": [{"name": "ANY", "value": "x"}], "secret": [{"envName": "X", "secretName": "a"}]},
        {"postgresql": {"primary": {"resources": {}}}},
        {"scheduler": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"scheduler": None},
    ],
)
def test_keys_that_the_chart_leaves_open_are_accepted(edited, content):
    edited("values/local.yaml", content)

    assert chart_keys.mistakes()["values/local.yaml"] == []


def test_stack_file_and_values_are_reported_together(deploy, edited):
    edited("values/aws.yaml", {"schedulr": {}, "triggerer": {"replica": 1}})

    lines = mistakes(deploy, {**STACK, "redis": {"storage_gb": 0}})

    assert [line.partition(": ")[0] for line in lines] == [
        "Pulumi.local.yaml:",
        "  airflow-platform:settings.redis.storage_gb",
        "values/aws.yaml:",
        "  schedulr",
        "  triggerer.replica",
    ]


def test_the_check_takes_less_than_20_ms():
    chart_keys.mistakes()  # a plan parses the files anyway
    start = time.process_time()
    chart_keys.mistakes()

    assert time.process_time() - start < 0.02
