"""`make up`, `preview` and `repair` with pretended tools: what they look at, and where they stop."""

import base64
import gzip
import json

import pytest
import yaml

from ops import drift
from ops import lifecycle as commands
from ops.__main__ import main
from ops.kubernetes import Kubernetes
from ops.shell import OperationError
from ops.stack import Stack
from settings import Settings

CLUSTER = Kubernetes(name="dev", arguments=["--kubeconfig", "k"])
LOST = {
    "steps": [
        {
            "op": "replace",
            "urn": "urn:pulumi:dev::p::aws:rds/instance:Instance::database-instance",
            "newState": {"type": "aws:rds/instance:Instance"},
            "detailedDiff": {"dbName": {"kind": "update-replace"}},
        }
    ]
}
OBJECTS = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "done"}},
]


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Make tools out of shell scripts. `tools.calls()` are the command lines they got."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    log = tmp_path / "calls"
    log.touch()

    def make(name, script):
        (folder / name).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "${{0##*/}} $*" >> {log}\n{script}\n'
        )
        (folder / name).chmod(0o755)

    make.calls = lambda: log.read_text().splitlines()
    return make


def opened(tmp_path):
    return Stack(name="dev", file=tmp_path / "Pulumi.dev.yaml", env={"PATH": f"{tmp_path}/tools"})


def settings(stack, name, **policies):
    given: Settings = stack(name)[1]
    changed = given.policies.model_copy(update=policies)
    return given.model_copy(update={"policies": changed})


def test_an_update_that_would_lose_data_is_refused_before_anything_changes(tools, stack, tmp_path):
    tools("pulumi", f"printf %s '{json.dumps(LOST)}'")

    with pytest.raises(
        OperationError, match=r"Nothing was changed[\s\S]*database-instance.*dbName"
    ):
        commands._apply(opened(tmp_path), settings(stack, "dev"))
    assert not [call for call in tools.calls() if " up " in f"{call} "]


def test_who_says_so_in_the_stack_file_may_lose_data(tools, stack, tmp_path):
    tools("pulumi", f"printf %s '{json.dumps(LOST)}'")
    excused = settings(
        stack, "dev", exceptions={"no-stateful-deletion": "moved by hand on Monday, see the log"}
    )

    assert commands._guard(opened(tmp_path), excused) == 0


def test_a_preview_that_fails_is_shown_to_the_person_and_ends_the_command(tools, stack, tmp_path):
    tools("pulumi", "exit 5")

    assert commands._apply(opened(tmp_path), settings(stack, "dev")) == 5
    first, second = tools.calls()
    assert "preview --json --stack dev" in first
    assert second.startswith("pulumi preview --stack dev"), "once more, for people"


def test_a_throw_away_stack_is_not_looked_at_twice(tools, stack, tmp_path):
    tools("pulumi", "exit 5")

    assert commands._guard(opened(tmp_path), settings(stack, "local")) == 0
    assert tools.calls() == []


# A cluster that is well, but for workers that follow the CPU and of which KEDA left none.
NO_WORKER = r"""case "$*" in
*" deployment/airflow-scheduler "*) ;;
*"get deployments "*) echo '{"items": [{"metadata": {"name": "airflow-worker"}, "spec": {"replicas": 0}}]}';;
*"get hpa "*) echo '{"items": [{"metadata": {},
  "spec": {"minReplicas": 1, "scaleTargetRef": {"name": "airflow-worker"}}}]}';;
*" exec "*) echo '{"metadatabase": {"status": "healthy"}}';;
*) echo '{"items": []}';;
esac"""


def test_an_up_that_finds_no_worker_and_nobody_to_start_one_does_it(tools, stack, tmp_path, capsys):
    tools("pulumi", "exit 0")
    tools("kubectl", NO_WORKER)

    assert commands._apply(opened(tmp_path), settings(stack, "local")) == 0

    assert any('"replicas": 1' in call for call in tools.calls())
    assert "0 workers were left; 1 start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scaling", "existing", "looked_into"),
    [
        ("queue", False, ["airflow", "keda"]),
        ("queue", True, ["airflow"]),
        ("cpu", False, ["airflow"]),
    ],
)
def test_a_keda_that_the_stack_does_not_install_is_left_alone(
    tools, stack, tmp_path, scaling, existing, looked_into
):
    tools("pulumi", """printf %s '{"deployment": {}}'""")
    tools("kubectl", """printf %s '{"items": []}'""")
    local: Settings = stack("local")[1]
    workers = local.workers.model_copy(update={"scaling": scaling})
    keda = local.keda.model_copy(update={"existing": existing})

    commands._recover(opened(tmp_path), local.model_copy(update={"workers": workers, "keda": keda}))

    asked = [call for call in tools.calls() if "owner=helm" in call]
    assert [call.split("--namespace ")[1].split()[0] for call in asked] == looked_into


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        ([], None),
        ([{"type": "aws:ec2/vpc:Vpc"}], None),
        ([{"type": "eks:index:Cluster"}], None),
        ([{"type": "eks:index:Cluster", "outputs": {"kubeconfigJson": "{}"}}], "{}"),
    ],
    ids=["empty", "no cluster", "half a cluster", "a cluster"],
)
def test_the_way_to_the_cluster_is_known_before_an_up_has_ended(tools, tmp_path, resources, found):
    state = json.dumps({"deployment": {"resources": resources}})
    tools("pulumi", f"printf %s '{state}'")

    assert opened(tmp_path).kubeconfig() == found


def test_the_account_has_the_region_and_the_tags_of_the_stack_file():
    account = commands._account("dev")

    assert account.region == "eu-west-1"
    assert account.tags == {
        "project": "airflow-platform",
        "stack": "dev",
        "managed-by": "pulumi",
    }
    assert commands._account("local") is None


def helm_secret(objects):
    text = yaml.safe_dump_all(objects)
    packed = gzip.compress(json.dumps({"manifest": text}).encode())
    data = {"release": base64.b64encode(base64.b64encode(packed)).decode()}
    return json.dumps({"items": [{"data": data}]})


def test_what_helm_applied_is_compared_but_jobs_that_are_done(tools):
    tools("kubectl", f"printf %s '{helm_secret(OBJECTS)}'")

    assert drift.manifest(CLUSTER) == OBJECTS[:1]
    (call,) = tools.calls()
    assert "owner=helm,name=airflow,status=deployed" in call


def test_a_difference_is_shown_and_none_is_silence(tools):
    tools("kubectl", "echo '-  replicas: 7'; exit 1")
    assert "replicas: 7" in drift.differences(CLUSTER, OBJECTS)

    tools("kubectl", "exit 0")
    assert drift.differences(CLUSTER, OBJECTS) == ""


def test_a_comparison_that_fails_is_a_problem(tools):
    tools("kubectl", "echo forbidden >&2; exit 2")

    with pytest.raises(OperationError, match="forbidden"):
        drift.differences(CLUSTER, OBJECTS)


def test_what_was_changed_comes_back_under_the_name_of_helm(tools):
    tools("kubectl", "cat > /dev/null")
    drift.restore(CLUSTER, OBJECTS)

    (call,) = tools.calls()
    assert "apply --namespace airflow --server-side --force-conflicts --field-manager=helm" in call


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("prod", ["https://airflow.example.com/dag-relay"]),
        (
            "local",
            ["port-forward svc/dag-relay-webhook 8081:8080", "http://localhost:8081/dag-relay"],
        ),
    ],
)
def test_a_person_learns_what_the_git_host_must_know(stack, name, told):
    plain: Settings = stack(name)[1]
    dags = plain.dags.model_copy(update={"webhook": True})

    said = commands._next_steps(CLUSTER, plain.model_copy(update={"dags": dags}))

    for words in [*told, "get secret dag-relay-webhook --output go-template='{{.data.secret | "]:
        assert words in said
    assert "webhook" not in commands._next_steps(CLUSTER, plain)


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "up", interrupted)
    monkeypatch.setattr("sys.argv", ["ops", "up", "--stack", "local"])

    assert main() == 130, "128 + the number of SIGINT"
    assert capsys.readouterr().err == "interrupted: run the same command again to continue\n"
