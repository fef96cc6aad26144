"""Other programs: whether they are there, and what they say."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class OperationError(Exception):
    """Something that a person must know or do. It ends a command with its text and status 1."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that a command needs. `oldest` is what the end-to-end suite has run, or its makers ask."""

    name: str
    purpose: str
    version_arguments: Sequence[str]
    oldest: tuple[int, int]


PULUMI = Tool(
    name="pulumi",
    purpose="creates and changes the stack",
    version_arguments=["version"],
    oldest=(3, 259),
)
KUBECTL = Tool(
    name="kubectl",
    purpose="looks at the cluster",
    version_arguments=["version", "--client"],
    oldest=(1, 33),
)
AWS = Tool(
    name="aws",
    purpose="gives Pulumi and kubectl their token for EKS",
    version_arguments=["--version"],
    oldest=(2, 7),
)
HOW = "run `mise install` in this folder, or see https://mise.jdx.dev"


def require(*tools: Tool) -> None:
    """Raise one `OperationError` that names every missing or too old tool."""
    found = [text for tool in tools if (text := _missing(tool))]
    if found:
        raise OperationError("\n".join(found))


def _missing(tool: Tool) -> str | None:
    oldest = ".".join(map(str, tool.oldest))
    if shutil.which(tool.name) is None:
        return f"{tool.name}: not found; it {tool.purpose}. To get it, {HOW}"
    said = output([tool.name, *tool.version_arguments], seconds=30)
    version = re.search(r"(\d+)\.(\d+)\.\d+", said)
    if version is None or (int(version[1]), int(version[2])) < tool.oldest:
        number = version[0] if version else said.strip()
        return f"{tool.name}: is {number}, needs {oldest} or newer. To get it, {HOW}"
    return None


def attempt(
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run to the end; the caller looks at the status. Raises `OperationError` when it takes too long."""
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
        raise OperationError(f"{' '.join(command)}: no answer within {seconds:g} s") from None


def output(
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """What the command prints. Raises `OperationError` with its own words when it fails."""
    done = attempt(command, seconds=seconds, env=env, stdin=stdin)
    if done.returncode:
        raise OperationError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
