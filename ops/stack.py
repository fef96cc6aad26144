"""A Pulumi stack: its backend, its stack file, and the Pulumi commands that run on it."""

import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ops import signals
from ops.shell import OperationError, attempt, output
from ops.stack_files import ROOT, project, stack_path

STATE = ROOT / ".state"
STATE_SECONDS = 60
PREVIEW_SECONDS = 600
STOP_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Exit code of `pulumi destroy`, and the errors of providers by URN."""

    status: int
    errors: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`file` is the stack file that Pulumi reads: the committed file, or a copy in `.state/`."""

    name: str
    file: Path
    env: Mapping[str, str]

    def run(self, verb: str, *words: str, stops: Callable[[], bool] | None = None) -> int:
        """Run a command that prints its own progress. On Ctrl-C, Pulumi shuts down gracefully.

        The same on SIGTERM and SIGHUP, and if `stops`, called every few seconds, is true.
        """
        command = ["pulumi", verb, "--stack", self.name, "--config-file", str(self.file), *words]
        command.append("--non-interactive")
        with signals.forwarded() as attach:
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, process_group=0)
            attach(process)
            while True:
                try:
                    return process.wait(timeout=STOP_SECONDS if stops else None)
                except subprocess.TimeoutExpired:
                    if stops is not None and stops():
                        stops = None
                        process.send_signal(signal.SIGINT)

    def destroy(self, *words: str) -> Deletion:
        """Run `pulumi destroy` on all resources, or on those that the words select."""
        # Events contain inputs of resources: a private folder.
        with tempfile.TemporaryDirectory() as folder:
            events = Path(folder, "events")
            log = ["--event-log", str(events)]
            status = self.run("destroy", "--yes", "--skip-preview", *log, *words)
            lines = events.read_text().splitlines() if events.exists() else []
        return Deletion(status=status, errors=_errors([json.loads(line) for line in lines]))

    def preview_json(self) -> dict[str, Any] | None:
        """Output of `pulumi preview --json`; None if the preview fails."""
        words = ["preview", "--json", "--stack", self.name, "--config-file", str(self.file)]
        command = ["pulumi", "--cwd", str(ROOT), *words]
        done = attempt(command, seconds=PREVIEW_SECONDS, env=self.env)
        return None if done.returncode else json.loads(done.stdout)

    def exists(self) -> bool:
        names = json.loads(self.output("stack", "ls", "--json"))
        return any(entry["name"].rpartition("/")[2] == self.name for entry in names)

    def create(self) -> None:
        """Create the stack in its backend. Pulumi adds the encryption salt to the stack file."""
        committed = stack_path(self.name)
        before = committed.read_text()
        try:
            self.output("stack", "init", self.name, "--non-interactive")
        finally:
            if self.file != committed:
                # The salt fits the passphrase of one checkout: do not commit it.
                self.file.write_text(committed.read_text())
                committed.write_text(before)

    def set_in_file(self, values: Mapping[str, int | str], *, copy: bool = False) -> None:
        """Set settings in the committed stack file: values by path, such as `workers.max`.

        Comments and layout stay; Pulumi replaces YAML aliases by their values. `copy`: also in the
        copy that later commands of this stack use.
        """
        texts = {path: str(value) for path, value in values.items()}
        for file in self._files() if copy else [stack_path(self.name)]:
            self._set_all(file, texts)

    def remove_from_file(self, path: str) -> None:
        """Remove a setting from the committed stack file, and from the copy."""
        key = f"{project()}:settings.{path}"
        for file in self._files():
            where = ["--stack", self.name, "--config-file", str(file)]
            self.output("config", "rm", *where, "--path", key)

    def _files(self) -> list[Path]:
        """The committed stack file, and the copy that the commands of this stack use, if any."""
        return list(dict.fromkeys([stack_path(self.name), self.file]))

    def copy_with(self, file: Path, values: Mapping[str, str]) -> "Stack":
        """The stack with a copy of its stack file in which settings are changed, by path."""
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)  # it has the secrets of the stack file
        file.write_text(self.file.read_text())
        self._set_all(file, values)
        return replace(self, file=file)

    def _set_all(self, file: Path, values: Mapping[str, str]) -> None:
        pairs = [f"{project()}:settings.{path}={value}" for path, value in values.items()]
        plaintext = [word for pair in pairs for word in ("--plaintext", pair)]
        where = ["--stack", self.name, "--config-file", str(file)]
        self.output("config", "set-all", *where, "--path", *plaintext)

    def export(self) -> dict[str, Any]:
        """The exported state; its secrets are encrypted."""
        return json.loads(self.output("stack", "export", "--stack", self.name))

    def state(self) -> dict[str, Any]:
        return self.export()["deployment"]

    def resources(self) -> list[dict[str, Any]]:
        """Every resource in the state, with components and providers."""
        return self.state().get("resources", [])

    def kubeconfig(self) -> str | None:
        """Kubeconfig of the EKS cluster, from the state: `up` sets stack outputs at its end."""
        for resource in self.resources():
            if resource["type"] == "eks:index:Cluster":
                return resource.get("outputs", {}).get("kubeconfigJson")
        return None

    def output(self, *words: str, stdin: str | None = None) -> str:
        command = ["pulumi", "--cwd", str(ROOT), *words]
        return output(command, seconds=STATE_SECONDS, env=self.env, stdin=stdin)


def open_stack(name: str, *, in_checkout: bool) -> Stack:
    """Open a stack. With `in_checkout`, its default backend is `.state/` in this checkout."""
    # `--event-log`, which Pulumi's Automation API uses, is a debug option.
    env = dict(os.environ, PULUMI_SKIP_UPDATE_CHECK="1", PULUMI_DEBUG_COMMANDS="true")
    file = stack_path(name)
    if in_checkout and "PULUMI_BACKEND_URL" not in env:
        STATE.mkdir(mode=0o700, exist_ok=True)
        env["PULUMI_BACKEND_URL"] = f"file://{STATE}"
        if not env.keys() & {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}:
            env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase())
        file = _with_salt(name)
    return Stack(name=name, file=file, env=env)


def _errors(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The last error of each resource. Errors without a URN only repeat that the command failed."""
    found = (event.get("diagnosticEvent", {}) for event in events)
    return {
        d["urn"]: cause(d["message"]) for d in found if d.get("severity") == "error" and "urn" in d
    }


def cause(message: str) -> str:
    """The last line of an error, without the introduction of Pulumi and of the AWS SDK."""
    lines = [line.strip(" \t*") for line in message.splitlines()]
    last = next((line for line in reversed(lines) if line), "no message")
    return last.rpartition("api error ")[2]


def _passphrase() -> Path:
    path = STATE / "passphrase"
    if not path.exists():
        if any((STATE / ".pulumi").glob("stacks/**/*.json")):
            raise OperationError(
                f"{path} is missing, but the secrets of the stacks in {STATE} are encrypted with it. "
                "Restore the file, or set PULUMI_CONFIG_PASSPHRASE"
            )
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path


def _with_salt(name: str) -> Path:
    """Copy the stack file to `.state/`, with the encryption salt of the previous copy."""
    copy = STATE / f"Pulumi.{name}.yaml"
    salt = yaml.safe_load(copy.read_text()).get("encryptionsalt") if copy.exists() else None
    text = stack_path(name).read_text()
    copy.write_text(f"{text}\nencryptionsalt: {salt}\n" if salt else text)
    return copy
