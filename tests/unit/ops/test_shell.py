"""Required tools and external commands, with fake tools."""

import os

import pytest

from ops import shell
from ops.shell import OperationError, Tool

PLAN_AND_WORK = (
    Tool(name="plan", purpose="draw", version_arguments=["version"], oldest=(3, 200)),
    Tool(name="work", purpose="dig", version_arguments=["--version"], oldest=(1, 31)),
)
PLAN_TOO_OLD = "plan: version 3.200 or newer is required, found 3.99.9: run `mise install`"


def test_installed_tools_are_accepted(tools):
    tools("plan", "echo v3.200.0")
    tools("work", "echo work version 2.0.1 on Linux")

    shell.require(*PLAN_AND_WORK)
    assert tools.calls() == ["plan version", "work --version"]


@pytest.mark.parametrize(
    ("plan", "work", "complaints"),
    [
        (None, "1.31.0", ["plan: not found, but required to draw: run `mise install`"]),
        ("v3.99.9", "1.31.0", [PLAN_TOO_OLD]),
        ("unknown", "1.31.0", ["plan: version 3.200 or newer is required, found unknown: run"]),
        (None, None, ["plan: not found, ", "work: not found, but required to dig"]),
        (None, "0.99.0", ["plan: not found, ", "work: version 1.31 or newer is required, found"]),
    ],
    ids=["missing", "too old", "no version", "two missing", "missing and too old"],
)
def test_all_missing_tools_are_reported_at_once(tools, plan, work, complaints):
    for name, version in (("plan", plan), ("work", work)):
        if version:
            tools(name, f"echo {version}")

    with pytest.raises(OperationError) as error:
        shell.require(*PLAN_AND_WORK)
    lines = str(error.value).splitlines()
    assert len(lines) == len(complaints)
    for line, complaint in zip(lines, complaints, strict=True):
        assert line.startswith(complaint)
        assert "run `mise install`" in line


@pytest.mark.parametrize(
    ("tool", "arguments", "output", "too_old"),
    [
        (shell.PULUMI, "version", "v3.259.0", "v3.258.9"),
        (shell.KUBECTL, "version --client", "Client Version: v1.33.0", "Client Version: v1.32.9"),
        (shell.AWS, "--version", "aws-cli/2.7.0 Python/3.11.6", "aws-cli/2.6.9 Python/3.11.6"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_version_of_a_real_tool_is_parsed(tools, tool, arguments, output, too_old):
    tools(tool.name, f'[ "$*" = "{arguments}" ] && echo "{output}"')
    shell.require(tool)

    tools(tool.name, f'echo "{too_old}"')
    with pytest.raises(OperationError) as error:
        shell.require(tool)
    assert str(error.value).startswith(f"{tool.name}: version ")
    assert str(error.value).endswith(f": {tool.install}")


def test_the_error_output_of_a_failing_command_is_reported(tools):
    tools("work", "echo broken pipe >&2; exit 3")

    with pytest.raises(OperationError, match=r"^work hard: broken pipe$"):
        shell.output(["work", "hard"], seconds=10)


def test_output_and_exit_code_are_returned(tools):
    tools("work", 'echo done "$MODE"; [ "$1" != badly ]')

    fast = dict(os.environ, MODE="fast")
    assert shell.output(["work", "well"], seconds=10, env=fast) == "done fast\n"
    assert shell.attempt(["work", "badly"], seconds=10).returncode == 1


def test_a_command_reads_its_standard_input(tools):
    tools("work", 'read -r line; echo "got $line"')

    assert shell.output(["work"], seconds=10, stdin="this\n") == "got this\n"


def test_a_hanging_command_times_out(tools, tmp_path):
    os.mkfifo(tmp_path / "never")
    tools("work", f"read line < {tmp_path / 'never'}")

    with pytest.raises(OperationError, match=r"^work: timed out after 0\.2 s$"):
        shell.attempt(["work"], seconds=0.2)
