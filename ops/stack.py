"""A Pulumi stack: where its state lives, what an interrupted command left, and how to run it."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops.shell import OperationError, attempt, output
from ops.stack_files import ROOT

STATE = ROOT / ".state"
STATE_SECONDS = 60
PREVIEW_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`file` is the stack file that Pulumi reads."""

    name: str
    file: Path
    env: Mapping[str, str]

    def run(self, verb: str, *words: str) -> int:
        """Run a command that shows its progress by itself. Ctrl-C goes to Pulumi, which winds up."""
        command = ["pulumi", verb, "--stack", self.name, "--config-file", str(self.file), *words]
        process = subprocess.Popen([*command, "--non-interactive"], cwd=ROOT, env=self.env)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The terminal sent it to Pulumi too, which now finishes what it is doing.
                print(
                    "interrupted: waiting for Pulumi to wind up; `make up` continues from here",
                    flush=True,
                )

    def planned(self) -> dict[str, Any] | None:
        """What an `up` would do, as `pulumi preview --json` tells it. None: it would fail."""
        words = ["preview", "--json", "--stack", self.name, "--config-file", str(self.file)]
        command = ["pulumi", "--cwd", str(ROOT), *words]
        done = attempt(command, seconds=PREVIEW_SECONDS, env=self.env)
        return None if done.returncode else json.loads(done.stdout)

    def exists(self) -> bool:
        names = json.loads(self._output("stack", "ls", "--json"))
        return any(entry["name"].rpartition("/")[2] == self.name for entry in names)

    def create(self) -> None:
        """Make the stack in its backend. Pulumi writes how to decrypt it into the stack file."""
        committed = ROOT / f"Pulumi.{self.name}.yaml"
        before = committed.read_text()
        try:
            self._output("stack", "init", self.name, "--non-interactive")
        finally:
            if self.file != committed:
                # A salt belongs to one checkout's passphrase, so it stays out of the committed file.
                self.file.write_text(committed.read_text())
                committed.write_text(before)

    def state(self) -> dict[str, Any]:
        """The deployment; secrets in it are encrypted."""
        return json.loads(self._output("stack", "export", "--stack", self.name))["deployment"]

    def remaining(self) -> list[str]:
        """Type and name of every resource of a provider that is in the state."""
        resources = self.state().get("resources", [])
        real = [r for r in resources if r.get("custom") and not r["type"].startswith("pulumi:")]
        return sorted(f"{r['type']} {r['urn'].rpartition('::')[2]}" for r in real)

    def kubeconfig(self) -> str | None:
        """Of the EKS cluster, once it is there: the stack's own output comes only at the end of an `up`."""
        for resource in self.state().get("resources", []):
            if resource["type"] == "eks:index:Cluster":
                return resource.get("outputs", {}).get("kubeconfigJson")
        return None

    def interrupted_creates(self) -> list[dict[str, Any]]:
        """Resources that a killed command was creating: nobody wrote down whether they are there."""
        pending = self.state().get("pending_operations", [])
        return [p["resource"] for p in pending if p["type"] == "creating"]

    def adopt(self, ids: Mapping[str, str]) -> int:
        """Write down which of them are there, IDs by URN, and forget every other interrupted operation.

        `pulumi refresh --import-pending-creates` is for this, but in 3.259 it imports nothing.
        """
        exported = json.loads(self._output("stack", "export", "--stack", self.name))
        deployment = exported["deployment"]
        for resource in (pending["resource"] for pending in deployment.pop("pending_operations")):
            if resource["urn"] in ids:
                known = {"id": ids[resource["urn"]], "outputs": resource["inputs"]}
                deployment["resources"].append({**resource, **known})
        self._output("stack", "import", "--stack", self.name, stdin=json.dumps(exported))
        return self.run("refresh", "--yes", "--skip-preview")

    def release_stale_lock(self) -> bool:
        """Remove the lock of a command that is dead. Raises `OperationError` if it lives, or may live."""
        for lock in self._locks():
            if lock["hostname"] != os.uname().nodename or _lives(lock["pid"]):
                raise OperationError(
                    f"another command works on stack {self.name!r}: process {lock['pid']} of "
                    f"{lock['username']}@{lock['hostname']}, since {lock['timestamp'][:19]}. Wait for it; "
                    f"if it is dead, run: pulumi cancel --stack {self.name}"
                )
        stale = bool(self._locks())
        if stale:
            self._output("cancel", "--yes", "--stack", self.name)
        return stale

    def _locks(self) -> list[dict[str, Any]]:
        """Locks of a backend in a directory; other backends keep theirs to themselves."""
        url = self.env.get("PULUMI_BACKEND_URL", "")
        if not url.startswith("file://"):
            return []
        folder = Path(url.removeprefix("file://"), ".pulumi", "locks")
        return [json.loads(path.read_text()) for path in folder.glob(f"**/{self.name}/*.json")]

    def _output(self, *words: str, stdin: str | None = None) -> str:
        command = ["pulumi", "--cwd", str(ROOT), *words]
        return output(command, seconds=STATE_SECONDS, env=self.env, stdin=stdin)


def open_stack(name: str, *, in_checkout: bool) -> Stack:
    """The stack of that name. `in_checkout`: without a backend of its own it lives in .state/."""
    env = dict(os.environ, PULUMI_SKIP_UPDATE_CHECK="1")
    file = ROOT / f"Pulumi.{name}.yaml"
    if in_checkout and "PULUMI_BACKEND_URL" not in env:
        STATE.mkdir(mode=0o700, exist_ok=True)
        env["PULUMI_BACKEND_URL"] = f"file://{STATE}"
        if not env.keys() & {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}:
            env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase())
        file = _with_salt(name)
    return Stack(name=name, file=file, env=env)


def _passphrase() -> Path:
    path = STATE / "passphrase"
    if not path.exists():
        if any((STATE / ".pulumi").glob("stacks/**/*.json")):
            raise OperationError(
                f"{path} is missing, and the secrets of the stacks in {STATE} were encrypted with it. "
                "Bring it back, or set PULUMI_CONFIG_PASSPHRASE"
            )
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path


def _with_salt(name: str) -> Path:
    """A copy of the stack file, with the salt that an earlier copy got from Pulumi."""
    copy = STATE / f"Pulumi.{name}.yaml"
    salt = yaml.safe_load(copy.read_text()).get("encryptionsalt") if copy.exists() else None
    text = (ROOT / f"Pulumi.{name}.yaml").read_text()
    copy.write_text(f"{text}\nencryptionsalt: {salt}\n" if salt else text)
    return copy


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed process keeps its number, as a zombie, until its parent asks. Without /proc: it lives.
    stat = Path("/proc", str(pid), "stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2][:1] != "Z"
