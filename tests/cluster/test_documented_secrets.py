"""Every documented `pulumi config set --secret`, run as documented, with the real Pulumi CLI."""

import json
import os
import pty
import re
import shutil
import subprocess
from dataclasses import fields

import pytest

from components.airflow.dag_relay import DagRelay, DagRelayArgs
from ops.plan import mock_engine
from settings import Secrets, Settings, load_secrets
from tests.unit.conftest import PROJECT, secret_data
from tests.unit.docs.documents import ROOT, documents, spans
from tests.unit.settings.stacks import LOCAL

STACK = "dev"
TYPED = "typed-at-the-prompt"
COMMAND = re.compile(r"pulumi config set (?:--stack \S+ )?--secret (\w+)(?: (<) (\S+))?")
SSH = {
    "repo": "git@github.com:example/dags.git",
    "auth": {"kind": "ssh", "known_hosts": "github.com ssh-ed25519 AAAA"},
}
APP = {
    "repo": "https://github.com/example/dags.git",
    "auth": {"kind": "github_app", "client_id": "Iv23", "installation_id": 42},
}


def documented():
    """The key of each documented command, and the file that the shell passes to it, if any."""
    found = [COMMAND.match(span) for path in documents() for span in spans(path)]
    return sorted({(match[1], match[3] or "") for match in found if match})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with an encrypted stack, and the files of the documented commands."""
    if shutil.which("pulumi") is None:
        pytest.fail("not on PATH: pulumi; see CONTRIBUTING.md")
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for name, kind in (("deploy_key", "ed25519"), ("app.pem", "rsa")):
        words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)]
        subprocess.run([*words, "-m", "PEM"], check=True)
    run(folder, "stack", "init", STACK, "--secrets-provider", "passphrase")
    return folder


def run(folder, *words, stdin=None):
    process = start(folder, *words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def start(folder, *words, **streams):
    kept = {key: value for key, value in os.environ.items() if key != "CI"}
    return subprocess.Popen(
        ["pulumi", *words],
        cwd=folder,
        env={
            **kept,
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        },
        text=True,
        **streams,
    )


def type_secret(folder, *words):
    """Run a command in a terminal and answer its question."""
    ours, terminal = pty.openpty()
    process = start(folder, *words, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"value: " not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, f"{TYPED}\r".encode())
    assert process.wait(timeout=60) == 0
    os.close(ours)


@pytest.fixture(scope="module")
def configured(folder):
    """The stack's decrypted configuration after every documented command."""
    for key, file in documented():
        words = ["config", "set", "--stack", STACK, "--secret", key]
        if file:
            with (folder / file).open() as content:
                run(folder, *words, stdin=content)
        elif key not in {key for key, file in documented() if file}:
            type_secret(folder, *words)
    shown = json.loads(run(folder, "config", "--stack", STACK, "--show-secrets", "--json"))
    assert all(entry["secret"] for entry in shown.values())
    return {key: entry["value"] for key, entry in shown.items()}


def test_every_secret_has_a_documented_command(configured):
    known = {f"{PROJECT}:{field.name}" for field in fields(Secrets)}
    assert {key for key in configured if not key.endswith("_sales")} == known
    typed = [key for key, value in configured.items() if value == TYPED]
    assert len(typed) == len(configured) - 2, "these two are read from a file"


@pytest.mark.parametrize("dags", [SSH, APP], ids=["deploy key", "app key"])
def test_the_relay_gets_a_key_that_openssh_reads(configured, tmp_path, dags):
    given = {**LOCAL, "dags": dags, "images": {"pull_secret": "registry"}}
    stack = Settings.model_validate(given)

    def program():
        args = DagRelayArgs(
            namespace="airflow",
            image="apache/airflow:3.3.2",
            dags=stack.dags,
            secrets=load_secrets(stack),
            webhook_rotation=1,
        )
        DagRelay("dag-relay", args)

    snapshot = mock_engine.run(program, stack=STACK, project=PROJECT, config=configured)
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(secret_data(snapshot, "airflow-git")["key"])
    read = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", str(key)], capture_output=True, text=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, ""), "OpenSSH needs a newline after the last line"
