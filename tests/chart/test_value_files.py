"""Every value of values/ arrives in the manifests, or `make plan` refuses it."""

import shutil

import pulumi
import pytest
import yaml

from components.airflow import release
from ops import stack_files
from ops.plan.report import airflow_values
from policies import chart_values
from policies.chart_values import merge
from policies.view import at

PLATFORM = {"local": "values/local.yaml", "prod": "values/aws.yaml"}
# Parts of the chart that every stack has.
PARTS = (
    *("scheduler", "dagProcessor", "triggerer", "apiServer", "workers.celery", "statsd"),
    *("migrateDatabaseJob", "createUserJob", "databaseCleanup", "dags.gitSync"),
)
# How to give a list or a map of the chart an entry that is found again in the manifests.
ENTRIES = {
    "env": lambda mark: [{"name": mark, "value": mark}],
    "secret": lambda mark: [{"envName": mark, "secretName": "some", "secretKey": "key"}],
    "volumes": lambda mark: [{"name": mark, "emptyDir": {}}],
    "extraVolumes": lambda mark: [{"name": mark, "emptyDir": {}}],
    "volumeMounts": lambda mark: [{"name": "some", "mountPath": f"/{mark}"}],
    "extraVolumeMounts": lambda mark: [{"name": "some", "mountPath": f"/{mark}"}],
    "extraContainers": lambda mark: [{"name": mark, "image": "some"}],
    "extraInitContainers": lambda mark: [{"name": mark, "image": "some"}],
    "hostAliases": lambda mark: [{"ip": "192.0.2.1", "hostnames": [mark]}],
    "tolerations": lambda mark: [{"key": mark, "operator": "Exists"}],
    "nodeSelector": lambda mark: {mark: "some"},
    "labels": lambda mark: {mark: "some"},
    "annotations": lambda mark: {mark: "some"},
    "podAnnotations": lambda mark: {mark: "some"},
    "airflowPodAnnotations": lambda mark: {mark: "some"},
}
# On EKS, the workers of each queue tolerate the taint of their own nodes.
REFUSED = "workers.celery.tolerations"
# Of a part that no stack has.
OFF = (
    *("workers.celery.waitForMigrations", "workers.celery.persistence", "triggerer.persistence"),
    *("workers.celery.kerberosInitContainer", "workers.celery.kerberosSidecar"),
)


@pytest.fixture(scope="session")
def marked(chart_defaults):
    """A mark by path of the chart's values."""

    def find(values, path):
        for key, value in values.items():
            below = f"{path}{key}"
            if below.startswith(OFF):
                continue
            if key in ENTRIES and not value:
                yield below, below.replace(".", "-").lower()
            elif isinstance(value, dict) and value:
                yield from find(value, f"{below}.")

    found = dict(find({k: v for k, v in chart_defaults.items() if k in ENTRIES}, ""))
    for part in PARTS:
        found |= dict(find(at(chart_defaults, part), f"{part}."))
    return found


@pytest.fixture
def with_values(monkeypatch, tmp_path):
    """The values of a stack with more content in one of its files."""

    def run(stack, file, content):
        shutil.copytree(chart_values.ROOT / "values", tmp_path / "values")
        path = tmp_path / file
        path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), content)))
        monkeypatch.setattr(chart_values, "ROOT", tmp_path)
        monkeypatch.setattr(release, "VALUES", tmp_path / "values")
        chart_values.read.cache_clear()
        return airflow_values(stack_files.run_stack(stack)[0])

    yield run
    chart_values.read.cache_clear()


def nested(values):
    """Values by path as a tree."""
    tree = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        inner = tree
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return tree


@pytest.mark.parametrize("where", ["values/airflow.yaml", "platform"])
@pytest.mark.parametrize("stack", PLATFORM)
def test_what_a_value_file_adds_is_rendered(helm, airflow_chart, marked, with_values, stack, where):
    file = PLATFORM[stack] if where == "platform" else where
    expected = {p: mark for p, mark in marked.items() if not (stack == "prod" and p == REFUSED)}
    given = {path: ENTRIES[path.rpartition(".")[2]](mark) for path, mark in expected.items()}

    values = with_values(stack, file, nested(given))
    text = helm("template", "airflow", airflow_chart, values)

    assert len(expected) > 90
    assert [path for path, mark in expected.items() if mark not in text] == []


def test_what_cannot_be_merged_is_refused(with_values):
    entry = ENTRIES["tolerations"]("mark")

    with pytest.raises(pulumi.RunError) as report:
        with_values("prod", "values/aws.yaml", nested({REFUSED: entry}))

    assert str(report.value).splitlines() == [
        "values/aws.yaml:",
        f"  {REFUSED}: is set by workers and queues of the stack file; remove it here",
    ]
