"""A copy of this checkout, with stack files that a test may change, and `make` in it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.processes import kill_session

ROOT = Path(__file__).parents[2]
SETTINGS = "airflow-platform:settings"
UP_SECONDS = 900
# Variables of the `make` that runs the tests must not reach the `make` under test.
OUTER_MAKE = {"ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"}


@dataclass(frozen=True, kw_only=True)
class Checkout:
    folder: Path

    @classmethod
    def copy(cls, folder: Path, charts: Path) -> "Checkout":
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.split("\0"):
            source = ROOT / name
            if name and source.is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # Keeps the modification time: `make` must not consider the environment outdated.
                shutil.copy2(source, target)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        checkout = cls(folder=folder)
        checkout.change("local", charts={"source": str(charts)})
        return checkout

    def file(self, stack: str) -> Path:
        return self.folder / f"Pulumi.{stack}.yaml"

    def change(self, stack: str, **sections: Any) -> None:
        """Merge settings into a stack file, section by section."""
        content = yaml.safe_load(self.file(stack).read_text())
        settings = content["config"][SETTINGS]
        for section, values in sections.items():
            settings[section] = {**settings.get(section, {}), **values}
        self.file(stack).write_text(yaml.safe_dump(content))

    def configure(self, stack: str, **secrets: str) -> None:
        """Write secrets into a stack file, in plain text, which the program also accepts.

        As with `pulumi config set < file`, they lose their last newline.
        """
        content = yaml.safe_load(self.file(stack).read_text())
        content["config"] |= {
            f"airflow-platform:{key}": text.removesuffix("\n") for key, text in secrets.items()
        }
        self.file(stack).write_text(yaml.safe_dump(content))

    def start(
        self, target: str, stack: str = "local", *variables: str, **env: str
    ) -> "subprocess.Popen[str]":
        """Start a target. `variables` are those of make, such as `QUEUE=etl`."""
        return subprocess.Popen(
            ["make", target, f"STACK={stack}", *variables],
            cwd=self.folder,
            env={**{k: v for k, v in os.environ.items() if k not in OUTER_MAKE}, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(
        self, target: str, stack: str = "local", *variables: str, **env: str
    ) -> tuple[int, str]:
        """Run a target and return its exit status and output."""
        process = self.start(target, stack, *variables, **env)
        try:
            output, _ = process.communicate(timeout=UP_SECONDS)
        except BaseException:
            kill_session(process)
            raise
        return process.returncode, output

    def done(self, target: str, *variables: str, stack: str = "local") -> str:
        """Run a target, require success, and return its output."""
        status, output = self.make(target, stack, *variables)
        assert status == 0, output
        return output

    def up(self) -> str:
        return self.done("up")
