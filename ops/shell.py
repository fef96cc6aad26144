"""Runs external tools, and checks their versions."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class OperationError(Exception):
    """An error with a message for the user. The command prints it and exits with status 1."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A required tool. `oldest`: the minimum version of its vendor or of the end-to-end suite."""

    name: str
    purpose: str
    version_arguments: Sequence[str]
    oldest: tuple[int, int]
    install: str = "run `mise install` (https://mise.jdx.dev)"


PULUMI = Tool(
    name="pulumi",
    purpose="create and update the stack",
    version_arguments=["version"],
    oldest=(3, 259),
)
KUBECTL = Tool(
    name="kubectl",
    purpose="read the state of the cluster",
    version_arguments=["version", "--client"],
    oldest=(1, 33),
)
AWS = Tool(
    name="aws",
    purpose="get EKS tokens for Pulumi and kubectl",
    version_arguments=["--version"],
    oldest=(2, 7),
)


def confirmed(question: str) -> bool:
    """The answer of the user. Raises `OperationError` without a terminal."""
    if not sys.stdin.isatty():
        raise OperationError(
            "nothing was changed: there is no terminal to confirm on. Pass YES=1 to confirm the above"
        )
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def require(*tools: Tool) -> None:
    """Raise one `OperationError` that names every missing or outdated tool."""
    found = [text for tool in tools if (text := _missing(tool))]
    if found:
        raise OperationError("\n".join(found))


def _missing(tool: Tool) -> str | None:
    oldest = ".".join(map(str, tool.oldest))
    if shutil.which(tool.name) is None:
        return f"{tool.name}: not found, but required to {tool.purpose}: {tool.install}"
    text = output([tool.name, *tool.version_arguments], seconds=30)
    version = re.search(r"(\d+)\.(\d+)\.\d+", text)
    if version is None or (int(version[1]), int(version[2])) < tool.oldest:
        number = version[0] if version else text.strip()
        return f"{tool.name}: version {oldest} or newer is required, found {number}: {tool.install}"
    return None


def attempt(
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command; the caller checks its exit code. Raises `OperationError` on timeout."""
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OperationError(f"{' '.join(command)}: timed out after {seconds:g} s") from None


def output(
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Output of a command. Raises `OperationError` with its error output if the command fails."""
    done = attempt(command, seconds=seconds, env=env, stdin=stdin)
    if done.returncode:
        raise OperationError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def save_output(command: Sequence[str], file: Path) -> Path:
    """Write the output of a command into a file that only its owner can read.

    Raises `OperationError`, without the file, if the command fails.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        part.unlink()
        raise OperationError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return part.rename(file)
