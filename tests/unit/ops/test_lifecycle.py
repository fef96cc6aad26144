"""Commands around Pulumi, with pretended tools: none of the real ones is on the PATH of these tests."""

import json
import os
import stat
import subprocess
import sys

import pytest
import yaml

from ops import kubernetes, shell
from ops import stack as stacks
from ops.kubernetes import Kubernetes
from ops.shell import OperationError, Tool

KIND = Kubernetes(name="kind-a", arguments=["--context", "kind-a"])
NOBODY = 2**22 + 1  # above every process ID that Linux and macOS give


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Make tools out of shell scripts. `tools.calls()` are the command lines they got."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    log = tmp_path / "calls"
    log.touch()

    def make(name, script):
        path = folder / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "${{0##*/}} $*" >> {log}\n{script}\n')
        path.chmod(0o755)

    make.calls = lambda: log.read_text().splitlines()
    return make


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one stack file, and nobody's Pulumi in the environment."""
    monkeypatch.setattr(stacks, "ROOT", tmp_path)
    monkeypatch.setattr(stacks, "STATE", tmp_path / ".state")
    for variable in ("BACKEND_URL", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(f"PULUMI_{variable}", raising=False)
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  a: b\n")
    return tmp_path


WANTED = (
    Tool(name="plan", purpose="draws", version_arguments=["version"], oldest=(3, 200)),
    Tool(name="work", purpose="digs", version_arguments=["--version"], oldest=(1, 31)),
)


def test_tools_that_are_there_are_enough(tools):
    tools("plan", "echo v3.200.0")
    tools("work", "echo work version 2.0.1 on Linux")

    shell.require(*WANTED)
    assert tools.calls() == ["plan version", "work --version"]


@pytest.mark.parametrize(
    ("plan", "work", "complaints"),
    [
        (None, "1.31.0", ["plan: not found; it draws. To get it, run `mise install`"]),
        ("v3.99.9", "1.31.0", ["plan: is 3.99.9, needs 3.200 or newer. To get it, run `mise"]),
        ("unknown", "1.31.0", ["plan: is unknown, needs 3.200 or newer"]),
        (None, None, ["plan: not found; it draws", "work: not found; it digs"]),
        (None, "0.99.0", ["plan: not found; it draws", "work: is 0.99.0, needs 1.31 or newer"]),
    ],
    ids=["missing", "too old", "strange", "two missing", "missing and too old"],
)
def test_every_missing_tool_is_named_at_once_with_the_way_to_get_it(tools, plan, work, complaints):
    for name, version in (("plan", plan), ("work", work)):
        if version:
            tools(name, f"echo {version}")

    with pytest.raises(OperationError) as problem:
        shell.require(*WANTED)
    lines = str(problem.value).splitlines()
    assert len(lines) == len(complaints)
    for line, complaint in zip(lines, complaints, strict=True):
        assert line.startswith(complaint)


@pytest.mark.parametrize(
    ("tool", "asked", "says", "too_old"),
    [
        (shell.PULUMI, "version", "v3.259.0", "v3.258.9"),
        (shell.KUBECTL, "version --client", "Client Version: v1.33.0", "Client Version: v1.32.9"),
        (shell.AWS, "--version", "aws-cli/2.7.0 Python/3.11.6", "aws-cli/2.6.9 Python/3.11.6"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_version_of_a_real_tool_is_understood(tools, tool, asked, says, too_old):
    tools(tool.name, f'[ "$*" = "{asked}" ] && echo "{says}"')
    shell.require(tool)

    tools(tool.name, f'echo "{too_old}"')
    with pytest.raises(
        OperationError, match=f"^{tool.name}: is .*, needs .* To get it, run `mise install`"
    ):
        shell.require(tool)


def test_a_tool_that_fails_is_quoted(tools):
    tools("work", "echo broken pipe >&2; exit 3")

    with pytest.raises(OperationError, match=r"^work hard: broken pipe$"):
        shell.output(["work", "hard"], seconds=10)


def test_what_a_tool_prints_is_the_answer_and_its_status_can_be_looked_at(tools):
    tools("work", 'echo done "$MODE"; [ "$1" != badly ]')

    fast = dict(os.environ, MODE="fast")
    assert shell.output(["work", "well"], seconds=10, env=fast) == "done fast\n"
    assert shell.attempt(["work", "badly"], seconds=10).returncode == 1


def test_a_tool_reads_what_it_is_given(tools):
    tools("work", 'read -r line; echo "got $line"')

    assert shell.output(["work"], seconds=10, stdin="this\n") == "got this\n"


def test_a_tool_that_hangs_is_given_up(tools, tmp_path):
    os.mkfifo(tmp_path / "never")
    tools("work", f"read line < {tmp_path / 'never'}")

    with pytest.raises(OperationError, match=r"^work: no answer within 0\.2 s$"):
        shell.attempt(["work"], seconds=0.2)


CLUSTER = """
case "$*" in
  *get-contexts*) echo kind-a; echo kind-b ;;
  *readyz*) {ready} ;;
  *"get namespace"*) printf %s '{namespace}' ;;
esac
"""


def test_a_cluster_that_answers_is_fine_and_the_current_context_is_never_used(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))

    KIND.check_reachable()
    (readyz,) = [call for call in tools.calls() if "readyz" in call]
    assert readyz == "kubectl --context kind-a get --raw /readyz --request-timeout=10s"


def test_an_unknown_context_is_named_together_with_those_that_are_there(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))
    unknown = Kubernetes(name="kind-c", arguments=["--context", "kind-c"])

    with pytest.raises(
        OperationError, match="'kind-c' is not in your kubeconfig; it has: kind-a, kind-b"
    ):
        unknown.check_reachable()
    assert not [call for call in tools.calls() if "readyz" in call]


def test_no_context_at_all_is_said_too(tools):
    tools("kubectl", "")

    with pytest.raises(OperationError, match="it has: none"):
        KIND.check_reachable()


def test_a_kubeconfig_of_its_own_needs_no_context(tools):
    tools("kubectl", CLUSTER.format(ready="echo ok", namespace=""))

    Kubernetes(name="prod", arguments=["--kubeconfig", "x"]).check_reachable()
    assert "kubectl --kubeconfig x get --raw /readyz --request-timeout=10s" in tools.calls()


def test_a_cluster_that_does_not_answer_is_said_with_its_last_word(tools):
    down = "echo noise >&2; echo connection refused >&2; exit 1"
    tools("kubectl", CLUSTER.format(ready=down, namespace=""))

    with pytest.raises(
        OperationError, match=r"context 'kind-a' does not answer: connection refused$"
    ):
        KIND.check_reachable()


OURS = {"metadata": {"labels": {"airflow-platform/stack": "local"}}}


@pytest.mark.parametrize("namespace", ["", json.dumps(OURS)], ids=["none", "own"])
def test_a_namespace_of_its_own_may_be_there(tools, namespace):
    tools("kubectl", CLUSTER.format(ready="", namespace=namespace))

    KIND.check_namespace("local")
    assert tools.calls() == [
        "kubectl --context kind-a get namespace airflow --ignore-not-found --output json"
    ]


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"labels": {"airflow-platform/stack": "dev"}}, "stack 'dev'"),
        ({"labels": {"team": "data"}}, "something else"),
        ({}, "something else"),
    ],
    ids=["another stack", "somebody", "no labels"],
)
def test_a_foreign_namespace_is_left_alone(tools, metadata, owner):
    tools("kubectl", CLUSTER.format(ready="", namespace=json.dumps({"metadata": metadata})))

    with pytest.raises(
        OperationError, match=f"'airflow' in context 'kind-a' belongs to {owner}; nothing"
    ):
        KIND.check_namespace("local")


def test_a_namespace_that_is_going_is_waited_for(tools):
    going = {"metadata": {"deletionTimestamp": "2026-11-24T07:00:00Z"}}
    tools("kubectl", CLUSTER.format(ready="", namespace=json.dumps(going)))
    said = []

    KIND.check_namespace("local", said.append)
    assert tools.calls()[-1].startswith(
        "kubectl --context kind-a wait --for=delete namespace/airflow --timeout="
    )
    assert said == [
        "waiting for the end of the last namespace 'airflow': its pods finish their tasks"
    ]


@pytest.mark.parametrize(
    ("type_", "metadata", "found", "id_"),
    [
        ("core/v1:Secret", {"name": "a", "namespace": "airflow"}, "secret/a", "airflow/a"),
        ("core/v1:Secret", {"name": "a", "namespace": "airflow"}, "", None),
        ("core/v1:Namespace", {"name": "airflow"}, "namespace/airflow", "airflow"),
        ("core/v1:Namespace", {}, "namespace/x", None),
    ],
    ids=["there", "not there", "of the cluster", "nameless"],
)
def test_what_pulumi_calls_an_object_is_known_if_it_is_there(tools, type_, metadata, found, id_):
    tools("kubectl", f"printf %s '{found}'")

    resource = {"type": f"kubernetes:{type_}", "inputs": {"metadata": metadata}}
    assert KIND.identify(resource) == id_


def test_an_object_is_looked_for_in_its_own_namespace(tools):
    tools("kubectl", "")
    metadata = {"name": "a", "namespace": "keda"}

    KIND.identify({"type": "kubernetes:core/v1:Secret", "inputs": {"metadata": metadata}})
    assert tools.calls() == [
        "kubectl --context kind-a get Secret a --namespace keda --ignore-not-found --output name"
    ]


def test_other_resources_are_not_looked_for(tools):
    tools("kubectl", "echo found")

    inputs = {"metadata": {"name": "a"}}
    assert KIND.identify({"type": "random:index/randomId:RandomId", "inputs": inputs}) is None
    assert tools.calls() == []


BOTH = {"airflow": "airflow", "keda": "keda"}
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"


@pytest.mark.parametrize(
    ("creating", "of_airflow", "of_keda"),
    [
        ([], f",{PENDING}", f",{PENDING}"),
        (["airflow"], "", f",{PENDING}"),
        (["keda"], f",{PENDING}", ""),
    ],
    ids=["an update was killed", "a first install was killed", "that of KEDA was killed"],
)
def test_helm_revisions_that_pulumi_does_not_know_are_forgotten_and_no_others(
    tools, creating, of_airflow, of_keda
):
    found = {"items": [{"metadata": {"name": "sh.helm.release.v1.airflow.v2"}}]}
    script = f"*'--namespace airflow --selector'*) echo '{json.dumps(found)}' ;;"
    tools("kubectl", f"case \"$*\" in {script} *' get secret '*) echo '{{\"items\": []}}' ;; esac")
    other = {"type": "kubernetes:core/v1:Secret", "inputs": {"metadata": {"name": "airflow"}}}
    releases = [{"type": kubernetes.RELEASE, "inputs": {"name": name}} for name in creating]

    forgotten = KIND.clear_interrupted_releases(BOTH, [other, *releases])

    assert forgotten == ["sh.helm.release.v1.airflow.v2"]
    asked, deleted, asked_of_keda = tools.calls()
    where = "kubectl --context kind-a get secret --namespace"
    assert asked == (
        f"{where} airflow --selector owner=helm,name=airflow{of_airflow} --output json"
    )
    assert asked_of_keda == (f"{where} keda --selector owner=helm,name=keda{of_keda} --output json")
    assert deleted == (
        "kubectl --context kind-a delete secret sh.helm.release.v1.airflow.v2 --namespace airflow"
    )


@pytest.mark.parametrize(
    ("script", "health"),
    [
        (
            'echo \'{"scheduler": {"status": "healthy"}, "triggerer": {"status": null}}\'',
            {"scheduler": "healthy", "triggerer": "missing"},
        ),
        ("exit 1", {}),
    ],
    ids=["answers", "does not"],
)
def test_health_is_what_the_api_server_says(tools, script, health):
    tools("kubectl", script)

    assert KIND.health() == health
    assert "exec --namespace airflow deploy/airflow-api-server" in tools.calls()[0]


@pytest.fixture
def healthy(tools, monkeypatch, tmp_path):
    """A cluster that answers with these states of a part, and with these jobs."""
    monkeypatch.setattr(kubernetes.time, "sleep", lambda seconds: None)

    def make(part, *jobs):
        """`jobs` are what kubectl lists, one answer after the other."""
        for number, items in enumerate(jobs, start=1):
            (tmp_path / f"jobs{number}").write_text(json.dumps({"items": items}) + "\n")
        (tmp_path / "jobs-asked").write_text("")
        tools(
            "kubectl",
            f"""case "$*" in
              *" get job "*) printf x >> {tmp_path}/jobs-asked
                read -r asked < {tmp_path}/jobs-asked; asked=${{#asked}}
                while read -r line; do printf %s "$line"; done < {tmp_path}/jobs$asked ;;
              *) echo '{{"scheduler": {{"status": "{part}"}}}}' ;;
            esac""",
        )

    return make


def _job(**status):
    return {"metadata": {"name": "airflow-create-user"}, "status": status}


def test_waiting_ends_when_every_part_is_healthy(healthy, tools):
    healthy("healthy", [])
    said = []

    KIND.wait_healthy(said.append)

    assert said == ["scheduler healthy"]
    assert "get job --namespace airflow --selector release=airflow" in tools.calls()[-1]


def test_waiting_ends_when_the_user_that_it_announces_is_there(healthy):
    healthy("healthy", [_job()], [_job(active=1)], [_job(succeeded=1)])
    said = []

    KIND.wait_healthy(said.append)

    assert said == ["scheduler healthy, airflow-create-user not done", "scheduler healthy"]


@pytest.mark.parametrize(
    ("part", "jobs", "what"),
    [
        ("unhealthy", [], "scheduler is unhealthy"),
        ("healthy", [_job(failed=3)], "airflow-create-user is not done"),
    ],
    ids=["a part", "a job"],
)
def test_waiting_ends_with_what_is_not_healthy_and_where_to_look(
    healthy, monkeypatch, part, jobs, what
):
    healthy(part, jobs)
    now = iter([0, 0, 10**6])
    monkeypatch.setattr(kubernetes.time, "monotonic", lambda: next(now))

    with pytest.raises(OperationError, match=f"after 300 s: {what}") as problem:
        KIND.wait_healthy(lambda line: None)
    assert str(problem.value).endswith("kubectl --context kind-a get pods --namespace airflow")


def test_a_secret_is_read_in_the_clear():
    assert kubernetes.decode({"data": {"password": "aHVudGVyMg=="}}, "password") == "hunter2"


def test_state_lives_in_the_checkout_under_a_passphrase_that_only_its_owner_reads(checkout):
    opened = stacks.open_stack("local", in_checkout=True)

    state = checkout / ".state"
    passphrase = state / "passphrase"
    assert opened.env["PULUMI_BACKEND_URL"] == f"file://{state}"
    assert opened.env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(passphrase)
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert len(passphrase.read_text()) >= 32


def test_the_passphrase_is_made_once(checkout):
    def passphrase():
        stacks.open_stack("local", in_checkout=True)
        return (checkout / ".state" / "passphrase").read_text()

    assert passphrase() == passphrase()


def test_a_passphrase_that_is_gone_is_not_replaced(checkout):
    state = checkout / ".state" / ".pulumi" / "stacks" / "airflow-platform"
    state.mkdir(parents=True)
    (state / "local.json").write_text("{}")

    with pytest.raises(
        OperationError, match=r"passphrase is missing, and the secrets .* encrypted with it"
    ):
        stacks.open_stack("local", in_checkout=True)
    assert not (checkout / ".state" / "passphrase").exists()


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_passphrase_of_the_user_is_used(checkout, monkeypatch, variable):
    monkeypatch.setenv(variable, "mine")

    assert stacks.open_stack("local", in_checkout=True).env[variable] == "mine"
    assert not (checkout / ".state" / "passphrase").exists()


@pytest.mark.parametrize(
    ("backend", "in_checkout"), [("s3://states", True), (None, False)], ids=["given", "aws"]
)
def test_a_backend_of_the_user_stays_his(checkout, monkeypatch, backend, in_checkout):
    if backend:
        monkeypatch.setenv("PULUMI_BACKEND_URL", backend)

    opened = stacks.open_stack("local", in_checkout=in_checkout)
    assert opened.env.get("PULUMI_BACKEND_URL") == backend
    assert opened.file == checkout / "Pulumi.local.yaml"
    assert not (checkout / ".state").exists()


INIT = 'case "$*" in *"stack init"*) echo "encryptionsalt: v1:abc" >> {file} ;; esac'


def test_the_salt_of_a_checkout_stays_out_of_the_committed_file(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    before = committed.read_text()
    tools("pulumi", INIT.format(file=committed))
    opened = stacks.open_stack("local", in_checkout=True)

    opened.create()
    assert committed.read_text() == before
    assert yaml.safe_load(opened.file.read_text()) == {
        "config": {"a": "b"},
        "encryptionsalt": "v1:abc",
    }


def test_the_salt_stays_when_the_committed_file_changes(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    tools("pulumi", INIT.format(file=committed))
    stacks.open_stack("local", in_checkout=True).create()
    committed.write_text("config:\n  a: c\n")

    opened = stacks.open_stack("local", in_checkout=True)
    assert yaml.safe_load(opened.file.read_text()) == {
        "config": {"a": "c"},
        "encryptionsalt": "v1:abc",
    }


def test_a_stack_with_a_backend_of_its_own_keeps_its_key_in_the_committed_file(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    tools("pulumi", INIT.format(file=committed))

    stacks.open_stack("local", in_checkout=False).create()
    assert committed.read_text().endswith("encryptionsalt: v1:abc\n")


@pytest.mark.parametrize(
    ("names", "there"),
    [(["organization/airflow-platform/local"], True), (["local"], True), (["local2"], False)],
)
def test_a_stack_is_known_by_its_whole_name(checkout, tools, names, there):
    tools("pulumi", f"echo '{json.dumps([{'name': name} for name in names])}'")

    assert stacks.open_stack("local", in_checkout=False).exists() is there


def test_what_remains_is_what_a_provider_made(checkout, tools):
    urn = "urn:pulumi:local::airflow-platform::x::"
    resources = [
        {"type": "pulumi:providers:kubernetes", "urn": f"{urn}provider", "custom": True},
        {"type": "airflow:k8s:Redis", "urn": f"{urn}redis"},
        {"type": "kubernetes:core/v1:Secret", "urn": f"{urn}b", "custom": True},
        {"type": "kubernetes:core/v1:Secret", "urn": f"{urn}a", "custom": True},
    ]
    tools("pulumi", f"echo '{json.dumps({'deployment': {'resources': resources}})}'")

    remaining = stacks.open_stack("local", in_checkout=False).remaining()
    assert remaining == ["kubernetes:core/v1:Secret a", "kubernetes:core/v1:Secret b"]


def test_pulumi_gets_the_stack_its_file_and_its_environment(checkout, tools, tmp_path):
    tools("pulumi", f'printf "%s" "$PWD $PULUMI_BACKEND_URL" > {tmp_path}/seen; exit 7')
    opened = stacks.open_stack("local", in_checkout=True)

    assert opened.run("up", "--yes") == 7
    file = checkout / ".state" / "Pulumi.local.yaml"
    assert tools.calls() == [
        f"pulumi up --stack local --config-file {file} --yes --non-interactive"
    ]
    assert (tmp_path / "seen").read_text() == f"{checkout} file://{checkout / '.state'}"


def test_ctrl_c_waits_for_pulumi_to_wind_up(checkout, monkeypatch, capsys):
    answers = iter([KeyboardInterrupt(), 130])

    class Winding:
        def __init__(self, *command, **options):
            pass

        def wait(self):
            answer = next(answers)
            if isinstance(answer, BaseException):
                raise answer
            return answer

    monkeypatch.setattr(stacks.subprocess, "Popen", Winding)
    assert stacks.open_stack("local", in_checkout=False).run("up") == 130
    assert "waiting for Pulumi to wind up" in capsys.readouterr().out


def test_what_a_killed_command_made_is_written_down_and_the_rest_is_forgotten(
    checkout, tools, tmp_path
):
    def operation(urn, kind="creating"):
        return {"type": kind, "resource": {"urn": urn, "inputs": {"of": urn}}}

    pending = [operation("there"), operation("not there"), operation("old", kind="updating")]
    deployment = {"resources": [{"urn": "old", "id": "0"}], "pending_operations": pending}
    exported = json.dumps({"version": 3, "deployment": deployment})
    tools(
        "pulumi",
        f"""case "$*" in
          *"stack export"*) printf %s '{exported}' ;;
          *"stack import"*) read -r line; printf %s "$line" > {tmp_path}/imported ;;
        esac""",
    )
    opened = stacks.open_stack("local", in_checkout=False)

    assert [r["urn"] for r in opened.interrupted_creates()] == ["there", "not there"]
    assert opened.adopt({"there": "airflow/there"}) == 0
    assert json.loads((tmp_path / "imported").read_text()) == {
        "version": 3,
        "deployment": {
            "resources": [
                {"urn": "old", "id": "0"},
                {
                    "urn": "there",
                    "inputs": {"of": "there"},
                    "id": "airflow/there",
                    "outputs": {"of": "there"},
                },
            ]
        },
    }
    assert tools.calls()[-1].startswith("pulumi refresh --stack local ")


@pytest.fixture
def locked(checkout, tools):
    """The stack while a command holds its lock."""

    def make(*, name="local", **lock):
        opened = stacks.open_stack("local", in_checkout=True)
        folder = checkout / ".state" / ".pulumi" / "locks" / "organization" / "platform" / name
        folder.mkdir(parents=True)
        written = {
            "pid": NOBODY,
            "username": "ann",
            "hostname": os.uname().nodename,
            "timestamp": "2026-11-24T07:00:00.123Z",
            **lock,
        }
        (folder / "1.json").write_text(json.dumps(written))
        tools("pulumi", "")
        return opened

    return make


def test_the_lock_of_a_dead_command_is_removed(locked, tools, checkout):
    assert locked().release_stale_lock() is True
    assert tools.calls() == [f"pulumi --cwd {checkout} cancel --yes --stack local"]


@pytest.mark.parametrize(
    "lock", [{"pid": os.getpid()}, {"hostname": "elsewhere"}], ids=["lives", "may live"]
)
def test_the_lock_of_a_command_that_may_live_is_respected(locked, tools, lock):
    stack = locked(**lock)

    with pytest.raises(
        OperationError, match=r"'local': process \d+ of ann@.*, since 2026-11-24T07:00:00\. Wait"
    ):
        stack.release_stale_lock()
    assert tools.calls() == []


def test_a_lock_of_another_users_process_is_respected(locked, tools, monkeypatch):
    def forbidden(pid, signal):
        raise PermissionError

    stack = locked()
    monkeypatch.setattr(os, "kill", forbidden)
    with pytest.raises(OperationError, match="another command works on stack 'local'"):
        stack.release_stale_lock()


def test_the_lock_of_another_stack_is_its_own_business(locked, tools):
    assert locked(name="dev", pid=os.getpid()).release_stale_lock() is False
    assert tools.calls() == []


def test_a_backend_elsewhere_keeps_its_locks_to_itself(checkout, tools, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")

    assert stacks.open_stack("local", in_checkout=True).release_stale_lock() is False
    assert tools.calls() == []


def test_the_lock_of_a_killed_command_that_nobody_has_reaped_is_no_lock():
    killed = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not stacks._lives(killed.pid), "`make up` would wait for a zombie"
    finally:
        killed.wait()
