"""Commands in the documentation: each target exists, and each command line is run by a suite."""

import re

import pytest

from ops.verbs import VERBS
from tests.unit.docs.documents import ROOT, documents, lines, spans, where

PROGRAMS = (
    "make|kubectl|pulumi|aws|export|git|mise|kind|curl|cd|python|pip|docker|helm|airflow|cat|rm"
    "|createdb|initdb|pg_ctl|pg_dump|psql"
)
COMMAND = re.compile(rf"\s*(?:\$ )?((?:{PROGRAMS}) .*)")
MAKE = re.compile(r"make (?:-C (\S+) )?((?:[a-z][a-z0-9-]*(?: +|$))+)")
DAGS = "dags-repo-example"

MIGRATION = "tests/migration runs the block"

# Command lines of fenced blocks, by their beginning: where a suite runs them.
RUN = {
    "make airflow": "dags-repo-example/local/tests",
    "make compose": "dags-repo-example/local/tests",
    "make charts": ".github/workflows/check.yml",
    "make check": ".github/workflows/check.yml",
    "make test": ".ci/run",
    "mise": ".github/workflows/check.yml",
    "kind create cluster": ".github/workflows/check.yml",
    "make up": "tests/cluster",
    "make down": "tests/cluster",
    "make queues": "tests/cluster",
    "make dags": "tests/cluster",
    "make doctor": "tests/cluster",
    "make bootstrap": "tests/engine",
    "make scale": "tests/cluster",
    "make drain": "tests/cluster",
    "make undrain": "tests/cluster",
    "make pause": "tests/cluster",
    "make resume": "tests/cluster",
    "make preview": "tests/engine",
    "make upgrade": "tests/cluster",
    "make backup": "tests/cluster",
    "make backups": "tests/cluster",
    "make restore": "tests/cluster",
    "make drill": "tests/engine",
    "make rollback": "tests/cluster",
    "make repair": "tests/engine",
}
NOT_RUN = {
    "aws": "needs an AWS account",
    "pulumi stack init": "tests/engine/scenarios/infrastructure/test_new_account.py runs it",
    "pulumi config set": "needs a file or a terminal with the secret",
    "make plan": "the expected plans in tests/unit/plans run the same function",
    "make image": "needs a registry",
    "make --silent images": "needs a registry",
    "make migrate": "dags-repo-example/tests/checks/test_migrate.py runs its module",
    "make simulate": "runs until Ctrl-C; `make engine` uses the same account",
    "pulumi stack": "plain Pulumi with the environment that ops/stack.py sets",
    "pulumi preview": "plain Pulumi with the environment that ops/stack.py sets",
    "kubectl": "inspects a cluster; the suites use a client in tests/harness/",
    "git clone": "the suites serve the repository on another port",
    "curl": "the faults of tests/engine use an HTTP client",
    "export": "sets a variable of the shell",
    "airflow db migrate": MIGRATION,
    "createdb": MIGRATION,
    "initdb": MIGRATION,
    "pg_ctl": MIGRATION,
    "pg_dump": MIGRATION,
    "psql": MIGRATION,
    "rm": MIGRATION,
    "airflow": "runs in the Airflow that a team leaves",
    "cat": "needs a stack with RDS",
}


def targets(makefile):
    return set(re.findall(r"^([a-z][a-z0-9-]*):", makefile.read_text(), re.M))


def command_lines(path):
    """Command lines in fenced blocks: those with `$`, or all of a block that begins with one."""
    blocks = {}
    for line in lines(path):
        if line.block is not None and line.language in ("", "console"):
            blocks.setdefault(line.block, []).append(line)
    for block in blocks.values():
        if COMMAND.match(block[0].text):
            prompt = "$ " if block[0].text.lstrip().startswith("$ ") else ""
            for line in block:
                command = COMMAND.match(line.text)
                if command and line.text.lstrip().startswith(prompt):
                    yield where(path, line.number), command[1]


COMMANDS = [command for path in documents() for command in command_lines(path)]


def beginning(command):
    """The longest entry of RUN and NOT_RUN that the command begins with."""
    known = [entry for entry in (*RUN, *NOT_RUN) if f"{command} ".startswith(f"{entry} ")]
    return max(known, key=len, default=None)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_in_the_documentation_exists(path):
    own = targets(ROOT / DAGS / "Makefile")
    platform = targets(ROOT / "Makefile") | {verb.name for verb in VERBS}
    unknown = []
    for text in [*spans(path), *(command for _, command in command_lines(path))]:
        for folder, words in [match.groups() for match in [MAKE.match(text)] if match]:
            known = own if folder == DAGS or DAGS in path.parts else platform | own
            unknown += [f"make {word}" for word in words.split() if word not in known]
    assert unknown == [], f"neither the Makefile nor ops/verbs.py has these: correct {path.name}"


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_is_documented(verb):
    pages = [ROOT / "README.md", ROOT / "docs/operations.md"]
    commands = [command for page in pages for _, command in command_lines(page)]
    found = [text for page in pages for text in spans(page)] + commands
    assert any(re.match(rf"make {verb}\b", text) for text in found), (
        f"describe `make {verb}` in docs/operations.md"
    )


@pytest.mark.parametrize(("line", "command"), COMMANDS)
def test_a_suite_runs_the_command_or_a_reason_is_given(line, command):
    assert beginning(command), f"{line}: add `{command}` to RUN or NOT_RUN of {__name__}"


@pytest.mark.parametrize(("command", "suite"), RUN.items())
def test_the_named_suite_runs_the_command(command, suite):
    place = ROOT / suite
    # A suite passes the target to a function that runs make.
    target = re.escape(command.split()[-1])
    calls = rf'(make|start|done|operate|up|down)\(\s*"{target}"|"make", "{target}"'
    call = calls if place.is_dir() else re.escape(command)
    files = place.rglob("*.py") if place.is_dir() else [place]
    assert any(re.search(call, file.read_text()) for file in files), (
        f"{suite} does not run `{command}`: move it to NOT_RUN with a reason"
    )


def test_the_tables_list_no_command_that_is_gone():
    used = {beginning(command) for _, command in COMMANDS}
    assert sorted({*RUN, *NOT_RUN} - used) == [], "no document has these commands: remove them"


def test_every_option_of_a_verb_is_passed_by_make():
    options = {flag for verb in VERBS for flag in verb.options} - {"--json", "--dags"}
    makefile = (ROOT / "Makefile").read_text()
    assert sorted(flag for flag in options if not re.search(rf"{flag}[ )]", makefile)) == [], (
        "pass the variable in the recipe of $(VERBS) in the Makefile"
    )
