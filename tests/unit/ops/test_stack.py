"""Pulumi stacks: backend, passphrase, stack file and commands, with a fake Pulumi CLI."""

import json
import os
import signal
import stat

import pytest
import yaml

from ops import signals
from ops import stack as stack_module
from ops.shell import OperationError
from ops.stack import open_stack


def test_the_state_of_a_checkout_is_private(checkout):
    opened = open_stack("local", in_checkout=True)

    state = checkout / ".state"
    passphrase = state / "passphrase"
    assert opened.env["PULUMI_BACKEND_URL"] == f"file://{state}"
    assert opened.env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(passphrase)
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert len(passphrase.read_text()) >= 32


def test_the_passphrase_is_generated_once(checkout):
    def passphrase():
        open_stack("local", in_checkout=True)
        return (checkout / ".state" / "passphrase").read_text()

    assert passphrase() == passphrase()


def test_a_lost_passphrase_is_not_replaced(checkout):
    state = checkout / ".state" / ".pulumi" / "stacks" / "airflow-platform"
    state.mkdir(parents=True)
    (state / "local.json").write_text("{}")

    with pytest.raises(
        OperationError, match=r"passphrase is missing, but the secrets .* encrypted with it"
    ):
        open_stack("local", in_checkout=True)
    assert not (checkout / ".state" / "passphrase").exists()


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_configured_passphrase_is_kept(checkout, monkeypatch, variable):
    monkeypatch.setenv(variable, "mine")

    assert open_stack("local", in_checkout=True).env[variable] == "mine"
    assert not (checkout / ".state" / "passphrase").exists()


@pytest.mark.parametrize(
    ("backend", "in_checkout"), [("s3://states", True), (None, False)], ids=["configured", "aws"]
)
def test_a_configured_backend_is_kept(checkout, monkeypatch, backend, in_checkout):
    if backend:
        monkeypatch.setenv("PULUMI_BACKEND_URL", backend)

    opened = open_stack("local", in_checkout=in_checkout)
    assert opened.env.get("PULUMI_BACKEND_URL") == backend
    assert opened.file == checkout / "Pulumi.local.yaml"
    assert not (checkout / ".state").exists()


INIT = 'case "$*" in *"stack init"*) echo "encryptionsalt: v1:abc" >> {file} ;; esac'


def test_the_salt_is_not_written_to_the_committed_file(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    before = committed.read_text()
    tools("pulumi", INIT.format(file=committed))
    opened = open_stack("local", in_checkout=True)

    opened.create()
    assert committed.read_text() == before
    assert yaml.safe_load(opened.file.read_text()) == {
        "config": {"a": "b"},
        "encryptionsalt": "v1:abc",
    }


def test_the_salt_is_kept_when_the_committed_file_changes(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    tools("pulumi", INIT.format(file=committed))
    open_stack("local", in_checkout=True).create()
    committed.write_text("config:\n  a: c\n")

    opened = open_stack("local", in_checkout=True)
    assert yaml.safe_load(opened.file.read_text()) == {
        "config": {"a": "c"},
        "encryptionsalt": "v1:abc",
    }


def test_the_key_of_a_shared_backend_is_committed(checkout, tools):
    committed = checkout / "Pulumi.local.yaml"
    tools("pulumi", INIT.format(file=committed))

    open_stack("local", in_checkout=False).create()
    assert committed.read_text().endswith("encryptionsalt: v1:abc\n")


@pytest.mark.parametrize(
    ("names", "exists"),
    [(["organization/airflow-platform/local"], True), (["local"], True), (["local2"], False)],
)
def test_a_stack_exists_under_its_full_name(checkout, tools, names, exists):
    tools("pulumi", f"echo '{json.dumps([{'name': name} for name in names])}'")

    assert open_stack("local", in_checkout=False).exists() is exists


EVENTS = [
    {"diagnosticEvent": {"message": "update failed", "severity": "error"}},
    {"diagnosticEvent": {"urn": "a", "message": "slow", "severity": "warning"}},
    {
        "diagnosticEvent": {
            "urn": "a",
            "severity": "error",
            "message": "deleting urn:a: 1 error occurred:\n\t* deleting EC2 VPC (vpc-1): operation "
            "error EC2: DeleteVpc, https response error StatusCode: 400, RequestID: 1, "
            "api error DependencyViolation: The vpc 'vpc-1' has dependencies.\n\n",
        }
    },
    {"summaryEvent": {}},
]


def test_a_destroy_returns_the_error_of_each_resource(checkout, tools):
    lines = "\n".join(map(json.dumps, EVENTS))
    (checkout / "given").write_text(lines)
    # The option is followed by the file.
    copy = 'while [ "$1" != --event-log ]; do shift; done; cat given > "$2"; exit 255'
    tools("pulumi", copy)

    deletion = open_stack("local", in_checkout=False).destroy("--exclude-protected")
    assert deletion.status == 255
    assert deletion.errors == {"a": "DependencyViolation: The vpc 'vpc-1' has dependencies."}
    (call,) = tools.calls()
    assert call.startswith("pulumi destroy --stack local")
    assert "--yes --skip-preview" in call


def test_a_destroy_that_does_not_start_has_no_errors(checkout, tools):
    tools("pulumi", "exit 1")

    deletion = open_stack("local", in_checkout=False).destroy()
    assert (deletion.status, deletion.errors) == (1, {})


@pytest.mark.parametrize(
    ("message", "cause"),
    [("a\n  b: c\n\n", "b: c"), ("Throttling", "Throttling"), ("", "no message")],
)
def test_the_cause_is_the_last_line_of_an_error(message, cause):
    assert stack_module.cause(message) == cause


@pytest.mark.parametrize(
    ("resources", "kubeconfig"),
    [
        ([], None),
        ([{"type": "aws:ec2/vpc:Vpc"}], None),
        ([{"type": "eks:index:Cluster"}], None),
        ([{"type": "eks:index:Cluster", "outputs": {"kubeconfigJson": "{}"}}], "{}"),
    ],
    ids=["empty", "no cluster", "incomplete cluster", "cluster"],
)
def test_the_kubeconfig_is_known_before_an_up_ends(checkout, tools, resources, kubeconfig):
    state = json.dumps({"deployment": {"resources": resources}})
    tools("pulumi", f"printf %s '{state}'")

    assert open_stack("local", in_checkout=False).kubeconfig() == kubeconfig


def test_pulumi_gets_the_stack_file_and_environment(checkout, tools, tmp_path):
    tools("pulumi", f'printf "%s" "$PWD $PULUMI_BACKEND_URL" > {tmp_path}/seen; exit 7')
    opened = open_stack("local", in_checkout=True)

    assert opened.run("up", "--yes") == 7
    file = checkout / ".state" / "Pulumi.local.yaml"
    assert tools.calls() == [
        f"pulumi up --stack local --config-file {file} --yes --non-interactive"
    ]
    assert (tmp_path / "seen").read_text() == f"{checkout} file://{checkout / '.state'}"


ENDS_ON_SIGINT = "trap 'echo $$ >> ended; sleep 0.2; exit 7' INT; touch started\n"


@pytest.mark.parametrize("number", ["INT", "TERM", "HUP"])
def test_pulumi_shuts_down_on_a_signal_to_the_command(checkout, tools, tmp_path, number, capsys):
    """`timeout` signals the command twice, and Pulumi must get one signal: the next is rude."""
    signals = f"kill -{number} {os.getpid()}"
    tools("pulumi", f"{ENDS_ON_SIGINT}{signals}; {signals}; while :; do sleep 0.05; done")

    assert open_stack("local", in_checkout=False).run("up") == 7
    assert len((tmp_path / "ended").read_text().splitlines()) == 1
    assert capsys.readouterr().out.count("waiting for Pulumi to shut down") == 1


class Process:
    pid = 1

    def __init__(self):
        self.signals = []

    def send_signal(self, number):
        self.signals.append(number)


def test_pulumi_gets_a_signal_that_came_while_it_started(capsys):
    process = Process()
    with signals.forwarded() as attach:
        os.kill(os.getpid(), signal.SIGTERM)
        attach(process)

    assert process.signals == [signal.SIGINT]


def test_a_signal_of_the_terminal_does_not_reach_pulumi(checkout, tools, tmp_path):
    """The command forwards it."""
    tools("pulumi", f"ps -o pgid= -p $$ > {tmp_path}/group")

    open_stack("local", in_checkout=False).run("up")
    assert int((tmp_path / "group").read_text()) != os.getpgrp()


def test_a_changed_copy_of_the_stack_file_is_private(checkout, tools):
    (checkout / "Pulumi.yaml").write_text("name: airflow-platform\n")
    tools("pulumi", "")
    opened = open_stack("local", in_checkout=False)
    file = checkout / ".state" / "copy.yaml"
    before = opened.file.read_text()

    copy = opened.copy_with(file, {"cluster.private_endpoint": "false", "cluster.cidrs[0]": "a"})

    assert (copy.name, copy.file, copy.env) == (opened.name, file, opened.env)
    assert copy.file.read_text() == opened.file.read_text() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it has the secrets of the stack file"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (call,) = tools.calls()
    key = "airflow-platform:settings.cluster"
    assert call.endswith(
        f"config set-all --stack local --config-file {file} --path "
        f"--plaintext {key}.private_endpoint=false --plaintext {key}.cidrs[0]=a"
    )


def test_a_stale_copy_is_replaced(checkout, tools):
    tools("pulumi", "")
    file = checkout / "copy.yaml"
    file.write_text("stale")
    file.chmod(0o644)

    open_stack("local", in_checkout=False).copy_with(file, {})

    assert "stale" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_command_is_interrupted_once_when_it_should_stop(checkout, tools, monkeypatch):
    monkeypatch.setattr(stack_module, "STOP_SECONDS", 0.1)
    tools("pulumi", "trap 'exit 7' INT; while :; do sleep 0.05; done")
    asked = []

    def stops():
        asked.append(True)
        return len(asked) == 2

    opened = open_stack("local", in_checkout=False)
    assert opened.run("up", stops=stops) == 7
    assert len(asked) == 2
