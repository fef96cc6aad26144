"""`make drain`, `undrain` and `scale` on a fake cluster with a fake Pulumi CLI."""

import pytest
import yaml

from ops import rds
from tests.unit.ops.fake_platform import DRAINED, ETL, KUBECTL, UNDRAINED, task

FOR_ETL = f"wait deployment/{ETL} --namespace airflow --for=jsonpath={{.spec.replicas}}=0"


@pytest.mark.parametrize("queue", DRAINED)
def test_draining_stops_the_workers_of_one_queue(platform, operate, queue):
    platform.tasks(task(queue, "running", 3), task(queue, "queued", 2), task(queue, "scheduled"))

    status, output = operate("drain", "--queue", queue)

    assert status == 0
    assert platform.changes() == [DRAINED[queue]]
    grace = 30 if queue == "default" else 600
    assert output.splitlines()[-1] == (
        f"{queue}: drained; 3 running with {grace} s to finish, 3 waiting for "
        f"`make undrain QUEUE={queue} STACK=local`"
    )


@pytest.mark.parametrize("queue", DRAINED)
def test_draining_twice_succeeds(platform, operate, queue):
    platform.drain_all()

    assert operate("drain", "--queue", queue)[0] == 0
    assert platform.changes() == [DRAINED[queue]], "the first command may have been interrupted"


def test_draining_waits_for_keda(platform, operate):
    assert operate("drain", "--queue", "etl")[0] == 0

    assert f"{KUBECTL} {FOR_ETL} --timeout=30s" in platform.calls()


def test_a_drain_without_effect_names_the_pods_of_keda(platform, operate):
    platform.fail(FOR_ETL)

    status, output = operate("drain", "--queue", "etl")

    assert status == 1
    assert "KEDA has not scaled airflow-worker-etl to 0 within 30 s" in output
    assert f"{KUBECTL} get pods --namespace keda" in output


@pytest.mark.parametrize("queue", UNDRAINED)
def test_undraining_starts_the_initial_workers(platform, operate, queue):
    platform.drain_all()

    status, output = operate("undrain", "--queue", queue)

    assert (status, platform.changes()) == (0, [UNDRAINED[queue]])
    assert output.startswith(f"{queue}: starting workers")


@pytest.mark.parametrize("queue", UNDRAINED)
def test_undraining_an_active_queue_changes_nothing(platform, operate, queue):
    status, output = operate("undrain", "--queue", queue)

    assert (status, platform.changes()) == (0, []), "it would remove workers of an autoscaler"
    assert output == f"{queue}: not drained\n"


@pytest.mark.parametrize("command", ["drain", "undrain", "scale"])
def test_an_unknown_queue_is_refused_with_the_known_ones(platform, operate, command):
    before = platform.file.read_text()

    status, output = operate(
        command, "--queue", "gpu", *(["--max=1"] if command == "scale" else [])
    )

    assert status == 1
    assert output == (
        "Pulumi.local.yaml has no queue 'gpu'. Pass one of its queues as QUEUE=: default, etl, slow\n"
    )
    assert platform.changes() == []
    assert platform.file.read_text() == before


@pytest.mark.parametrize(
    ("queue", "words", "keys", "bounds"),
    [
        ("default", ["--max=10"], ["workers"], (1, 10)),
        ("default", ["--min=2"], ["workers"], (2, 3)),
        ("etl", ["--max=10", "--min=2"], ["queues", "etl"], (2, 10)),
        ("slow", ["--max=5"], ["queues", "slow"], (None, 5)),
    ],
)
def test_scaling_sets_the_bounds_then_previews_and_applies(
    platform, operate, queue, words, keys, bounds
):
    status, output = operate("scale", "--queue", queue, *words)

    assert status == 0, output
    assert platform.bounds(*keys) == bounds
    copy = platform.folder / ".state" / "Pulumi.local.yaml"
    assert platform.pulumi_calls() == [
        f"pulumi preview --stack local --config-file {copy} --diff --non-interactive",
        f"pulumi up --stack local --config-file {copy} --yes --skip-preview --suppress-outputs "
        "--non-interactive",
    ]
    assert yaml.safe_load(copy.read_text()) == yaml.safe_load(platform.file.read_text())


def test_scaling_sets_both_numbers_in_one_command(platform, operate):
    operate("scale", "--queue", "etl", "--max=10", "--min=2")

    (call,) = [call for call in platform.calls() if "config set-all" in call]
    key = "airflow-platform:settings.queues.etl"
    assert call == (
        f"pulumi --cwd {platform.folder} config set-all --stack local --config-file {platform.file} "
        f"--path --plaintext {key}.max=10 --plaintext {key}.min=2"
    )


def test_scaling_reports_that_aliases_are_replaced(platform, operate):
    text = platform.file.read_text()
    platform.file.write_text(f"aliases: [&number 6, *number]\n{text}")

    status, output = operate("scale", "--queue", "etl", "--max=10")

    assert (status, platform.bounds("queues", "etl")) == (0, (0, 10))
    assert "Pulumi.local.yaml: `pulumi config` replaces YAML aliases by their values\n" in output


def test_scaling_creates_a_missing_stack_first(platform, operate):
    platform.answer("stacks", [])

    assert operate("scale", "--queue", "etl", "--max=10")[0] == 0
    verbs = [call.split(" ", 3)[-1] for call in platform.calls() if " --cwd " in call]
    created = next(n for n, verb in enumerate(verbs) if verb.startswith("stack init local"))
    changed = next(n for n, verb in enumerate(verbs) if verb.startswith("config set-all"))
    assert created < changed, "`pulumi config` refuses a stack that does not exist"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--max=1000"], "workers.max: Input should be less than or equal to 500, got 1000"),
        (["--min=9"], "workers: min 9 must not exceed max 3"),
        (["--max=400"], "lower workers.max"),
    ],
)
def test_refused_numbers_leave_the_file_unchanged(platform, operate, words, complaint):
    before = platform.file.read_bytes()

    status, output = operate("scale", "--queue", "default", *words)

    assert status == 1
    assert complaint in output
    assert "Pulumi.local.yaml is unchanged" in output
    assert platform.file.read_bytes() == before
    assert platform.pulumi_calls() == []


@pytest.mark.parametrize("failing", ["config set-all", "preview --stack"])
def test_a_failing_command_leaves_the_file_unchanged(platform, operate, failing):
    before = platform.file.read_bytes()
    platform.fail(failing)

    status, output = operate("scale", "--queue", "etl", "--max=10")

    assert status == 1
    assert "Pulumi.local.yaml is unchanged" in output
    assert platform.file.read_bytes() == before
    assert not [call for call in platform.calls() if call.startswith("pulumi up")]


def test_a_failing_preview_is_reported(platform, operate):
    platform.fail("preview --stack")

    _, output = operate("scale", "--queue", "etl", "--max=10")

    assert "the preview failed, see above; nothing was changed" in output


def test_ctrl_c_during_a_preview_leaves_the_file_unchanged(platform, operate, monkeypatch):
    before = platform.file.read_bytes()

    def interrupted(session):
        assert platform.file.read_bytes() != before, "the number is set before the preview"
        raise KeyboardInterrupt

    monkeypatch.setattr(rds, "check", interrupted)

    assert operate("scale", "--queue", "etl", "--max=10")[0] == 130
    assert platform.file.read_bytes() == before


def test_a_failing_update_keeps_the_changed_file(platform, operate):
    """The next `make up` applies it."""
    platform.fail("up --stack")

    assert operate("scale", "--queue", "etl", "--max=10")[0] == 1
    assert platform.bounds("queues", "etl") == (0, 10)


def test_scaling_without_a_number_is_refused(platform, operate):
    status, output = operate("scale", "--queue", "etl")

    assert (status, output) == (1, "nothing to change: pass MAX=, MIN= or both\n")
