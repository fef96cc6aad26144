"""`make queues`, `scale`, `drain`, `pause` and what ends them, with a pretended cluster and Pulumi."""

import json
import shutil
import sys
import time
from functools import cache

import pytest
import yaml

from ops import queues, stack_files
from ops import stack as stacks
from ops.__main__ import main
from ops.kubernetes import Kubernetes

ROOT = stack_files.ROOT
SETTINGS = "airflow-platform:settings"
KUBECTL = "kubectl --context kind-airflow"
BEFORE = "airflow-platform/replicas-before-pause"
# One for each way to scale.
QUEUES = {"etl": {"scaling": "queue", "min": 0, "max": 6, "concurrency": 2}, "slow": {"max": 2}}
QUEUES["slow"]["scaling"] = "fixed"
DEFAULT, ETL, SLOW = (f"airflow-worker-{name}" for name in ("default-queue", "etl", "slow"))
HEALTHY = {part: {"status": "healthy"} for part in ("scheduler", "triggerer")}


def deployment(name, desired=1, ready=None, **annotations):
    status = {} if desired == 0 else {"readyReplicas": desired if ready is None else ready}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": desired},
        "status": status,
    }


def task(queue, state, count=1, seconds=0, dag="report"):
    return {"queue": queue, "state": state, "count": count, "seconds": seconds, "dag": dag}


_RUN = stack_files.run_stack


@cache
def _ran(text):
    """What the program makes of a stack file that is there with this text."""
    return _RUN("local")


class Clock:
    """Time for the one module that waits; `wakes` is what happens meanwhile."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, wakes=lambda: None):
        self.sleep = lambda seconds: wakes()


class Platform:
    """What the pretended kubectl answers, and the stack file `local`."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "Pulumi.local.yaml"
        self.log = folder / "calls"
        self.log.touch()
        self.workers(deployment(DEFAULT), deployment(ETL, 0), deployment(SLOW, 2))
        self.scaled(deployment(ETL))
        self.tasks()
        self.scheduler(deployment("airflow-scheduler", 2))
        self.answer("health", HEALTHY)
        self.answer("after", "0")

    def answer(self, name, given):
        text = given if isinstance(given, str) else json.dumps(given)
        (self.folder / name).write_text(f"{text}\n")

    def workers(self, *items):
        self.answer("workers", {"items": items})

    def scaled(self, *items):
        self.answer("scaled", {"items": items})

    def tasks(self, *rows):
        self.answer("tasks", f"good morning\n{queues.ANSWER}{json.dumps(rows)}\ngood night")

    def scheduler(self, given):
        self.answer("scheduler", given)

    def calls(self):
        return self.log.read_text().splitlines()

    def changes(self):
        """What was changed in the cluster, in that order."""
        verbs = ("scale", "patch")
        return [
            call.removeprefix(f"{KUBECTL} ").replace(" --namespace airflow", "")
            for call in self.calls()
            if call.removeprefix(f"{KUBECTL} ").startswith(verbs)
        ]


@pytest.fixture
def platform(tmp_path, monkeypatch):
    folder = tmp_path / "tools"
    folder.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copy(ROOT / "__main__.py", tmp_path)
    for module in (stack_files, stacks):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(stacks, "STATE", tmp_path / ".state")
    monkeypatch.setattr(queues, "time", Clock())
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for variable in ("BACKEND_URL", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(f"PULUMI_{variable}", raising=False)
    content = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    content["config"][SETTINGS]["queues"] = QUEUES
    made = Platform(tmp_path)
    monkeypatch.setattr(stack_files, "run_stack", lambda name: _ran(made.file.read_text()))
    made.file.write_text("# ours\n" + yaml.safe_dump(content))

    def tool(name, cases):
        (folder / name).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> {made.log}\ncd {tmp_path}\n'
            f'[ -e fails ] && case "$*" in *"$(cat fails)"*) echo no >&2; exit 1 ;; esac\n'
            f'case "$*" in\n{cases}\nesac\n'
        )
        (folder / name).chmod(0o755)

    tool(
        "kubectl",
        """*"version --client"*) echo Client Version: v1.35.0 ;;
        *get-contexts*) echo kind-airflow ;;
        *" get deployments "*) cat workers ;;
        *" get scaledobjects.keda.sh "*) cat scaled ;;
        *" get deployment/airflow-scheduler "*) cat scheduler ;;
        *jsonpath=*) printf %s "$(cat after)" ;;
        *--stdin*) cat > script; cat tasks ;;
        *" exec "*) cat health ;;
        *" get secret "*|*" get job "*) echo '{"items": []}' ;;""",
    )
    tool(
        "pulumi",
        """version) echo v3.259.0 ;;
        *"stack ls"*) cat stacks ;;
        *"stack export"*) echo '{"deployment": {}}' ;;""",
    )
    made.answer("stacks", [{"name": "local"}])
    return made


@pytest.fixture
def operate(monkeypatch, capfd, platform):
    """Run a command: its status, and what it said."""

    def run(command, *words):
        monkeypatch.setattr(sys, "argv", ["ops", command, "--stack", "local", *words])
        status = main()
        said = capfd.readouterr()
        return status, said.out + said.err

    return run


def test_a_line_for_each_queue_says_what_it_does(platform, operate):
    platform.workers(deployment(DEFAULT, 2, 1), deployment(ETL, 3), deployment(SLOW, 2))
    platform.tasks(
        task("default", "running", 3),
        task("default", "running", 1, dag="other"),
        task("default", "queued", 2, seconds=7.9),
        task("default", "queued", 5, seconds=61.2, dag="other"),
        task("default", "scheduled", 9),
    )

    status, said = operate("queues")

    assert status == 0
    assert said.splitlines() == [
        "queue    slots  busy  queued  oldest wait  replicas  target       state",
        "default  4      4     7       61 s         1/2       1-3 (cpu)    active",
        "etl      6      0     0       -            3/3       0-6 (queue)  active",
        "slow     16     0     0       -            2/2       2 (fixed)    active",
    ]


def test_the_tasks_are_counted_where_the_scheduler_may_be_away(platform, operate):
    operate("queues")

    (call,) = [call for call in platform.calls() if "--stdin" in call]
    assert call == (
        f"{KUBECTL} exec --namespace airflow --stdin deploy/airflow-api-server --container api-server "
        "-- python -"
    )
    script = (platform.folder / "script").read_text()
    assert script == queues.COUNT_TASKS
    compile(script, "<stdin>", "exec")
    assert f'print("{queues.ANSWER.strip()}", ' in script


@pytest.mark.parametrize("state", ["queued", "scheduled"])
def test_tasks_that_nobody_will_take_are_told_with_what_to_do(platform, operate, state):
    platform.tasks(
        task("gpu", state, 2, dag="train"), task("gpu", state, dag="infer"), task("old", "running")
    )

    _, said = operate("queues")

    assert said.splitlines()[4:] == [
        "! gpu: 3 waiting, and nobody serves this queue. Add queues.gpu to Pulumi.local.yaml and "
        "`make up STACK=local`, or correct `queue` in the DAGs: infer, train"
    ]


def test_a_program_reads_the_same_as_json(platform, operate):
    platform.scaled(deployment(ETL, **{queues.PAUSED: "0"}))
    platform.tasks(task("etl", "queued", 4, seconds=12.5), task("gpu", "scheduled", dag="train"))

    status, said = operate("queues", "--json")

    assert status == 0
    told = json.loads(said)
    assert told["paused"] is False
    assert [one["queue"] for one in told["queues"]] == ["default", "etl", "slow"]
    assert told["queues"][1] == {
        "queue": "etl",
        "slots": 0,
        "busy": 0,
        "queued": 4,
        "oldest_wait_seconds": 12,
        "replicas": {"ready": 0, "desired": 0},
        "target": {"min": 0, "max": 6, "scaling": "queue"},
        "state": "drained",
    }
    assert told["unserved"] == [{"queue": "gpu", "waiting": 1, "dags": ["train"]}]


def test_a_stack_with_one_queue_and_no_keda_is_looked_at_under_its_own_names(platform, operate):
    shutil.copy(ROOT / "Pulumi.local.yaml", platform.file)
    platform.workers(deployment("airflow-worker"))

    status, said = operate("queues")

    assert (status, len(said.splitlines())) == (0, 2)
    assert not [call for call in platform.calls() if "scaledobjects" in call], "no such kind there"


def test_a_queue_that_is_only_in_the_file_wants_an_up_first(platform, operate):
    platform.workers(deployment(DEFAULT), deployment(ETL))

    status, said = operate("queues")

    assert status == 1
    assert "no workers of queue 'slow'" in said
    assert "`make up STACK=local` first" in said


def test_a_queue_that_keda_does_not_scale_yet_wants_an_up_first(platform, operate):
    platform.scaled()

    status, said = operate("drain", "--queue", "etl")

    assert status == 1
    assert "(airflow-worker-etl, scaling: queue): `make up STACK=local` first" in said
    assert platform.changes() == []


def test_an_api_server_that_does_not_answer_is_said(platform, operate):
    platform.answer("fails", "--stdin")

    status, said = operate("queues")

    assert status == 1
    assert "could not count the tasks: no. See docs/runbooks/airflow-unhealthy.md" in said


def test_a_stack_that_is_not_there_has_no_queues(platform, operate):
    platform.answer("stacks", [])

    status, said = operate("queues")

    assert (status, said) == (1, "stack 'local' is not there: `make up STACK=local` first\n")


def patched(name, replicas, mark):
    change = {"metadata": {"annotations": {"airflow-platform/drained": mark}}}
    change["spec"] = {"replicas": replicas}
    return f"patch deployment/{name} --type=merge --patch={json.dumps(change)}"


def scaled_object(name, replicas):
    change = {"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": replicas}}}
    return f"patch scaledobjects.keda.sh/{name} --type=merge --patch={json.dumps(change)}"


DRAINED = {
    "default": patched(DEFAULT, 0, "true"),
    "etl": scaled_object(ETL, "0"),
    "slow": patched(SLOW, 0, "true"),
}
UNDRAINED = {
    "default": patched(DEFAULT, 1, None),
    "etl": scaled_object(ETL, None),
    "slow": patched(SLOW, 2, None),
}


def all_drained(platform):
    platform.workers(
        *(deployment(name, 0, **{queues.DRAINED: "true"}) for name in (DEFAULT, SLOW)),
        deployment(ETL, 0),
    )
    platform.scaled(deployment(ETL, **{queues.PAUSED: "0"}))


@pytest.mark.parametrize("queue", DRAINED)
def test_draining_stops_the_workers_of_that_queue_in_the_way_that_lasts(platform, operate, queue):
    platform.tasks(task(queue, "running", 3), task(queue, "queued", 2), task(queue, "scheduled"))

    status, said = operate("drain", "--queue", queue)

    assert status == 0
    assert platform.changes() == [DRAINED[queue]]
    grace = 30 if queue == "default" else 600
    assert said.splitlines()[-1] == (
        f"{queue}: drained. 3 running, which have {grace} s to end; 3 waiting in Airflow until "
        f"`make undrain QUEUE={queue} STACK=local`"
    )


@pytest.mark.parametrize("queue", DRAINED)
def test_draining_twice_is_fine(platform, operate, queue):
    all_drained(platform)

    assert operate("drain", "--queue", queue)[0] == 0
    assert platform.changes() == [DRAINED[queue]], "the first time it may have been killed"


def test_draining_waits_until_keda_has_done_it(platform, operate, monkeypatch):
    platform.answer("after", "3")
    monkeypatch.setattr(queues, "time", Clock(lambda: platform.answer("after", "0")))

    assert operate("drain", "--queue", "etl")[0] == 0
    assert [call for call in platform.calls() if "jsonpath" in call] == [
        f"{KUBECTL} get deployment/{ETL} --namespace airflow --output jsonpath={{.spec.replicas}}"
    ] * 2


def test_a_keda_that_does_nothing_is_said(platform, operate, monkeypatch):
    platform.answer("after", "3")
    monkeypatch.setattr(queues, "EFFECT_SECONDS", 0)

    status, said = operate("drain", "--queue", "etl")

    assert status == 1
    assert "KEDA has not stopped airflow-worker-etl within 0 s" in said
    assert f"{KUBECTL} get pods --namespace keda" in said


@pytest.mark.parametrize("queue", UNDRAINED)
def test_undraining_starts_as_many_workers_as_the_queue_begins_with(platform, operate, queue):
    all_drained(platform)

    status, said = operate("undrain", "--queue", queue)

    assert (status, platform.changes()) == (0, [UNDRAINED[queue]])
    assert said.startswith(f"{queue}: its workers start")


@pytest.mark.parametrize("queue", UNDRAINED)
def test_undraining_touches_no_queue_that_works(platform, operate, queue):
    status, said = operate("undrain", "--queue", queue)

    assert (status, platform.changes()) == (0, []), "it would take away what an autoscaler added"
    assert said == f"{queue}: is not drained\n"


@pytest.mark.parametrize("command", ["drain", "undrain", "scale"])
def test_an_unknown_queue_is_told_which_there_are(platform, operate, command):
    before = platform.file.read_text()

    status, said = operate(command, "--queue", "gpu", *(["--max=1"] if command == "scale" else []))

    assert status == 1
    assert said == (
        "Pulumi.local.yaml has no queue 'gpu'; it has: default, etl, slow. Choose with QUEUE=\n"
    )
    assert platform.changes() == []
    assert platform.file.read_text() == before


def patch(given):
    return f"patch deployment/airflow-scheduler --type=merge --patch={json.dumps(given)}"


def mark(replicas):
    return {"metadata": {"annotations": {BEFORE: replicas}}}


def paused(replicas=0, before="2"):
    return deployment("airflow-scheduler", replicas, **{BEFORE: before})


def test_a_pause_stops_the_scheduler_and_drains_every_queue(platform, operate):
    platform.tasks(task("etl", "running", 2))

    status, said = operate("pause")

    assert status == 0
    assert platform.changes() == [
        patch({**mark("2"), "spec": {"replicas": 0}}),
        DRAINED["default"],
        DRAINED["etl"],
        DRAINED["slow"],
    ]
    assert "etl: drained. 2 running" in said
    assert said.endswith("`make resume STACK=local`\n")


@pytest.mark.parametrize(
    ("scheduler", "before"),
    [
        (paused(), "2"),
        (paused(replicas=3), "3"),
        (deployment("airflow-scheduler", 0), "1"),
    ],
    ids=["paused already", "an upgrade started it again", "somebody stopped it by hand"],
)
def test_a_pause_never_forgets_how_many_schedulers_there_were(platform, operate, scheduler, before):
    platform.scheduler(scheduler)

    assert operate("pause")[0] == 0
    assert platform.changes()[0] == patch({**mark(before), "spec": {"replicas": 0}})


@pytest.mark.parametrize("scheduler", [paused(), paused(replicas=2)], ids=["begun", "half-way"])
def test_resuming_starts_the_scheduler_first_and_ends_the_pause_last(platform, operate, scheduler):
    platform.scheduler(scheduler)
    all_drained(platform)

    status, said = operate("resume")

    assert status == 0
    assert platform.changes() == [
        patch({"spec": {"replicas": 2}}),
        UNDRAINED["default"],
        UNDRAINED["etl"],
        UNDRAINED["slow"],
        patch(mark(None)),
    ]
    assert said.endswith("Airflow runs again.\n")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_command_that_failed_half_way_is_finished_by_the_next_one(platform, operate, command):
    if command == "resume":
        all_drained(platform)
    platform.scheduler(paused())
    platform.answer("fails", f"patch scaledobjects.keda.sh/{ETL} --namespace airflow")
    assert operate(command)[0] == 1
    assert patch(mark(None)) not in platform.changes(), "the pause has not ended"
    first = len(platform.changes())
    (platform.folder / "fails").unlink()

    assert operate(command)[0] == 0
    assert platform.changes()[first:][: first - 1] == platform.changes()[: first - 1]
    assert [change for change in platform.changes()[first:] if SLOW in change]


def test_without_a_pause_resume_leaves_drained_queues_alone(platform, operate):
    platform.workers(
        deployment(DEFAULT, 0, **{queues.DRAINED: "true"}), deployment(ETL), deployment(SLOW, 2)
    )

    status, said = operate("resume")

    assert (status, platform.changes()) == (0, [])
    assert said.splitlines() == [
        "Airflow is not paused.",
        "default: is drained: `make undrain QUEUE=default STACK=local`",
    ]


def test_a_scheduler_that_somebody_stopped_by_hand_starts_with_a_resume(platform, operate):
    platform.scheduler(deployment("airflow-scheduler", 0))

    assert operate("resume")[0] == 0
    assert platform.changes()[0] == patch({"spec": {"replicas": 1}})


def test_the_table_says_that_airflow_is_paused(platform, operate):
    platform.scheduler(paused())

    assert operate("queues")[1].endswith("Airflow is paused: `make resume STACK=local`\n")
    assert json.loads(operate("queues", "--json")[1])["paused"] is True


def test_without_a_scheduler_there_is_nothing_to_pause(platform, operate):
    platform.scheduler("")

    status, said = operate("pause")

    assert status == 1
    assert "no deployment/airflow-scheduler: `make up` first" in said


def test_an_up_of_a_paused_stack_leaves_it_paused_and_does_not_wait_for_the_scheduler(
    platform, operate
):
    platform.scheduler(paused(replicas=2))
    platform.answer("health", {**HEALTHY, "scheduler": {"status": "unhealthy"}})

    status, said = operate("up")

    assert status == 0
    assert platform.changes() == [patch({**mark("2"), "spec": {"replicas": 0}}), *DRAINED.values()]
    assert said.endswith("Airflow is paused: `make resume STACK=local`\n")


def test_an_up_of_a_stack_that_is_not_paused_drains_nothing(platform, operate):
    status, said = operate("up")

    assert (status, platform.changes()) == (0, [])
    assert "Airflow is healthy." in said


@pytest.mark.parametrize(
    ("found", "change", "said"),
    [
        (
            deployment(DEFAULT, 0),
            patched(DEFAULT, 1, None),
            "default: 0 workers were left; 1 start",
        ),
        (deployment(SLOW, 1), patched(SLOW, 2, None), "slow: 1 workers were left; 2 start"),
        (
            deployment(SLOW, 2, **{queues.DRAINED: "true"}),
            patched(SLOW, 0, "true"),
            "slow: the upgrade had started its workers; drained again",
        ),
    ],
    ids=["by CPU from none", "fixed, one taken away", "drained, started again"],
)
def test_an_up_puts_right_what_nobody_else_does(platform, operate, found, change, said):
    others = {name: deployment(name, n) for name, n in ((DEFAULT, 1), (ETL, 0), (SLOW, 2))}
    platform.workers(*(others | {found["metadata"]["name"]: found}).values())

    status, told = operate("up")

    assert (status, platform.changes()) == (0, [change])
    assert said in told


def test_an_up_leaves_drained_queues_as_they_are(platform, operate):
    all_drained(platform)

    assert operate("up")[0] == 0
    assert platform.changes() == []


def numbers(platform, *keys):
    content = yaml.safe_load(platform.file.read_text())["config"][SETTINGS]
    for key in keys:
        content = content[key]
    return content.get("min"), content.get("max")


@pytest.mark.parametrize(
    ("queue", "words", "keys", "bounds"),
    [
        ("default", ["--max=10"], ["workers"], (1, 10)),
        ("default", ["--min=2"], ["workers"], (2, 3)),
        ("etl", ["--max=10", "--min=2"], ["queues", "etl"], (2, 10)),
        ("slow", ["--max=5"], ["queues", "slow"], (None, 5)),
    ],
)
def test_scaling_changes_the_file_shows_the_preview_and_applies(
    platform, operate, queue, words, keys, bounds
):
    status, said = operate("scale", "--queue", queue, *words)

    assert status == 0, said
    assert numbers(platform, *keys) == bounds
    assert platform.file.read_text().startswith("# ours\n")
    file = platform.folder / ".state" / "Pulumi.local.yaml"
    assert [
        call for call in platform.calls() if call.startswith(("pulumi preview", "pulumi up"))
    ] == [
        f"pulumi preview --stack local --config-file {file} --diff --non-interactive",
        f"pulumi up --stack local --config-file {file} --yes --skip-preview --suppress-outputs "
        "--non-interactive",
    ]
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(platform.file.read_text())


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--max=1000"], "workers.max: Input should be less than or equal to 500, got 1000"),
        (["--min=9"], "workers: min 9 must not exceed max 3"),
        (["--max=400"], "use a larger instance_class"),
    ],
)
def test_bad_numbers_leave_the_file_as_it_was_and_change_nothing(platform, operate, words, what):
    before = platform.file.read_bytes()

    status, said = operate("scale", "--queue", "default", *words)

    assert status == 1
    assert what in said
    assert "Pulumi.local.yaml is as it was" in said
    assert platform.file.read_bytes() == before
    assert not [call for call in platform.calls() if call.startswith("pulumi")]


def test_a_preview_that_fails_leaves_the_file_as_it_was(platform, operate):
    before = platform.file.read_bytes()
    platform.answer("fails", "preview --stack")

    status, said = operate("scale", "--queue", "etl", "--max=10")

    assert status == 1
    assert "the preview failed, see above; nothing was changed" in said
    assert platform.file.read_bytes() == before
    assert not [call for call in platform.calls() if call.startswith("pulumi up")]


def test_an_update_that_fails_keeps_the_file_which_the_next_up_takes(platform, operate):
    platform.answer("fails", "up --stack")

    assert operate("scale", "--queue", "etl", "--max=10")[0] == 1
    assert numbers(platform, "queues", "etl") == (0, 10)


def test_scaling_wants_a_number(platform, operate):
    status, said = operate("scale", "--queue", "etl")

    assert (status, said) == (1, "how many workers? Say MAX=, MIN=, or both\n")


def test_waiting_for_health_passes_over_what_is_away_on_purpose(platform):
    platform.answer("health", {**HEALTHY, "scheduler": {"status": "unhealthy"}})
    said = []

    cluster = Kubernetes(name="kind-airflow", arguments=["--context", "kind-airflow"])
    cluster.wait_healthy(said.append, away={"scheduler"})
    assert said == ["triggerer healthy"]
