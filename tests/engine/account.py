"""The simulator as a process, and checkouts that deploy AWS stacks into its account."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml

from tests.engine.simulator.__main__ import CA, ENVIRONMENT
from tests.engine.simulator.backends.endpoint import Machine
from tests.engine.simulator.moto_patches.identity import SPOT
from tests.harness.checkout import ROOT, SETTINGS, Checkout

START_SECONDS = 120
# Settings of the official provider for a simulated endpoint:
# https://docs.getmoto.org/en/latest/docs/server_mode.html
OFFICIAL = {
    "aws:skipCredentialsValidation": True,
    "aws:skipMetadataApiCheck": True,
    "aws:s3UsePathStyle": True,
}
# A Git host inside the cluster: tests send no requests to the one of the stack file.
GIT_IN_CLUSTER: dict[str, Any] = {
    "dags": {"repo": "git://git-server:9418/dags.git"},
    "git_server": {},
}


class NotStarted(RuntimeError):
    """The simulator exited before it was ready."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A running simulator. `official`: stacks use Pulumi's AWS provider, not the simulator's."""

    folder: Path
    environment: dict[str, str]
    process: "subprocess.Popen[str]"
    official: bool = False

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, context: str = "kind-airflow", *, official: bool = False
    ) -> Iterator["Account"]:
        words = ["--folder", str(folder), "--context", context]
        with subprocess.Popen(
            [sys.executable, "-m", "tests.engine.simulator", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C stops the commands; the simulator stops after them.
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                if process.stdout.readline() != "ready\n":
                    raise NotStarted("the simulated account did not start: see its error above")
                environment = json.loads((folder / ENVIRONMENT).read_text())
                if official:
                    del environment["PULUMI_DEBUG_PROVIDERS"]
                account = cls(
                    folder=folder, environment=environment, process=process, official=official
                )
                account._bootstrap()
                yield account
            finally:
                process.terminate()
                process.wait(timeout=START_SECONDS * 3)

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3, as another user of the account."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=region or self.environment["AWS_REGION"],
            aws_access_key_id="another-user",
            aws_secret_access_key="simulated",
        )

    def inventory(self) -> list[str]:
        return self._request("inventory")

    def fault(self, operation: str, token: str = "", **how: Any) -> None:
        """Inject a fault: see `Fault`."""
        self._request("faults", {"operation": operation, "token": token, **how})

    def waiting(self) -> bool:
        """Whether a fault holds an operation."""
        return any(fault["waiting"] for fault in self._request("faults")["faults"])

    def idle(self) -> bool:
        return not self._request("faults")["busy"]

    def set_zones(self, *ids: str) -> None:
        """Zones of the Region from now on: the ID of zone a, of zone b and so on."""
        self._request("zones", ids)

    def go_down(self) -> None:
        self._request("down", {})

    def lose_region(self) -> None:
        """End what runs in the Region, refuse every call to it, and serve the second Region."""
        self._request("lost-region", {})

    def reset(self) -> None:
        """Empty the account, and bring its Region back."""
        self._request("reset", {})
        self._bootstrap()

    def _bootstrap(self) -> None:
        """What `make bootstrap` creates once for each account, and `make up` requires."""
        self.client("iam").create_service_linked_role(AWSServiceName=SPOT)

    def late_logs(self) -> None:
        """Let deleted clusters write their last log events late."""
        self._request("late-logs", {})

    def set_quotas(self, **quotas: float) -> None:
        """Quotas of Service Quotas by code, until the next call: `L_0263D0A3=4`."""
        self._request("quotas", {code.replace("_", "-"): value for code, value in quotas.items()})

    def clear_faults(self) -> None:
        self._request("faults/clear", {})

    def move(self, *, public: str = Machine.public, private: str | None = None) -> None:
        """Move the machine that runs Pulumi and kubectl: see `Machine`."""
        self._request("machine", {"public": public, "private": private})

    def log_in(self, role: str) -> None:
        """Make the credentials of the machine those of another person."""
        self._request("login", role)

    def _request(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.environment['SIMULATED_AWS_URL']}/{path}"
        with urllib.request.urlopen(url, data=data, timeout=600) as answer:
            return json.load(answer)


@dataclass(frozen=True, kw_only=True)
class AwsStack:
    """A committed stack in a copy of the checkout, deployed into the simulated account."""

    name: str
    checkout: Checkout
    account: Account
    environment: dict[str, str] = field(default_factory=dict)
    # Variables of make for the commands that change the stack.
    variables: tuple[str, ...] = ()

    @classmethod
    def copy(
        cls,
        name: str,
        folder: Path,
        account: Account,
        charts: Path,
        *,
        initialized: bool = True,
        **sections: Any,
    ) -> "AwsStack":
        """The committed stack, with the CA of the simulated RDS and local charts.

        `initialized`: with a backend in its checkout, in which the stack exists.
        """
        checkout = Checkout.copy(folder, charts)
        ca = {"ca_file": str(account.folder / CA)}
        checkout.change(name, charts={"source": str(charts)}, database=ca)
        checkout.change(name, **sections)
        stack = cls(
            name=name, checkout=checkout, account=account, environment=dict(account.environment)
        )
        if account.official:
            stack.configure(OFFICIAL)
        if not initialized:
            return stack
        stack.backend.mkdir()
        stack.environment["PULUMI_BACKEND_URL"] = f"file://{stack.backend}"
        stack.pulumi("stack", "init", "--non-interactive")
        return stack

    def configure(self, values: dict[str, Any]) -> None:
        """Write configuration outside the settings, such as that of a provider."""
        file = self.checkout.file(self.name)
        content = yaml.safe_load(file.read_text())
        content["config"] |= values
        file.write_text(yaml.safe_dump(content))

    def change(self, **sections: Any) -> None:
        self.checkout.change(self.name, **sections)

    def replace(self, *remove: str, **sections: Any) -> None:
        """Remove sections of the settings, and replace others as a whole."""
        file = self.checkout.file(self.name)
        content = yaml.safe_load(file.read_text())
        settings = content["config"][SETTINGS]
        kept = {key: values for key, values in settings.items() if key not in remove}
        content["config"][SETTINGS] = {**kept, **sections}
        file.write_text(yaml.safe_dump(content))

    def settings(self) -> dict[str, Any]:
        return yaml.safe_load(self.checkout.file(self.name).read_text())["config"][SETTINGS]

    @property
    def backend(self) -> Path:
        """Pulumi's backend: state, history and locks of this checkout."""
        return self.checkout.folder / ".backend"

    @property
    def log(self) -> Path:
        """The output of all its commands."""
        return self.checkout.folder / "commands.log"

    def make(self, target: str, *variables: str) -> tuple[int, str]:
        """Run a target. `variables` are those of make, such as `FROM=203.0.113.7`."""
        own = self.variables if target in ("up", "down", "repair") else ()
        words = (*own, *variables)
        status, output = self.checkout.make(target, self.name, *words, **self.environment)
        self.record(output)
        return status, output

    def record(self, output: str) -> None:
        with self.log.open("a") as log:
            log.write(output)

    def start(self, target: str, *variables: str) -> "subprocess.Popen[str]":
        return self.checkout.start(target, self.name, *variables, **self.environment)

    def up(self, *variables: str) -> str:
        status, output = self.make("up", *variables)
        assert status == 0, output
        return output

    def pulumi(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["pulumi", *words, "--stack", self.name],
            cwd=self.checkout.folder,
            env={**os.environ, **self.environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + ("" if check else done.stderr)

    def state(self) -> dict[str, Any]:
        return json.loads(self.pulumi("stack", "export"))["deployment"]

    def resources(self) -> dict[str, dict[str, Any]]:
        """Resources in the state, by type and name."""
        found = self.state().get("resources", [])
        return {f"{r['type']} {r['urn'].rpartition('::')[2]}": r for r in found}
