"""Parsing and import of files: one file per mistake, one run reports all of them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter

import pytest

from tests.checks.dag_file import assert_reported, good

# File, its text, pattern of the message. Line 14 is the @dag decorator of a good DAG file.
MISTAKES = {
    "the missing colon": (
        "dags/colon.py",
        good("colon", ("def colon():", "def colon()")),
        r"28: syntax error: expected ':' \(found `def colon\(\)`\); add the colon `:` at the end of",
    ),
    "a syntax error in a plugin": (
        "plugins/bracket.py",
        "x = (1,\n",
        r"1: syntax error: '\(' was never closed \(found `x = \(1,`\); add the closing bracket",
    ),
    "an import that fails": (
        "dags/fails.py",
        good("fails", end="RATE = 1 / 0\n"),
        r"33: the import fails with ZeroDivisionError: division by zero "
        r"\(found `RATE = 1 / 0`\); fix the error",
    ),
    "a package that is not in the image": (
        "dags/lacks.py",
        good("lacks", imports="no_such_package"),
        r"3: the import fails with ModuleNotFoundError.*no_such_package.*"
        r"add a missing package to requirements-image.txt, and ask the platform team for an image",
    ),
    "a module outside of dags/": (
        "dags/reaches.py",
        good("reaches", imports="elsewhere"),
        r"3: the import fails with ModuleNotFoundError.*elsewhere.*"
        r"only Python's standard library, modules in dags/ and the packages of the platform's image",
    ),
    "an import from plugins/": (
        "dags/plugged.py",
        good("plugged", imports="working_days"),
        r"3: the import fails with ModuleNotFoundError.*working_days",
    ),
    "a syntax error in a shared module": (
        "dags/_typo.py",
        "def typo()\n    pass\n",
        r"1: syntax error: expected ':' \(found `def typo\(\)`\); add the colon",
    ),
    "a plugin that does not import": (
        "plugins/broken.py",
        "\nimport no_such_plugin_package\n",
        r"2: the import fails with ModuleNotFoundError.*no_such_plugin_package",
    ),
    "sys.exit": (
        "dags/exits.py",
        good("exits", imports="sys", end="sys.exit(0)\n"),
        r"33: exits Python at import \(found `sys.exit\(0\)`\); remove the call",
    ),
    "os._exit": (
        "dags/vanishes.py",
        good("vanishes", imports="os", end="os._exit(0)\n"),
        r"1: the process that imports this file exited or hung without an exception",
    ),
    "an endless loop": (
        "dags/hangs.py",
        good("hangs", end="while True:\n    time.sleep(0.01)\n"),
        r"34: the import was still at this line after 5 s; move it into a task",
    ),
    "a slow file": (
        "dags/slow.py",
        good("slow", end="time.sleep(2.5)\n"),
        r"33: the import takes too long \(found [2-4]\.\d s, .* the limit is 2 s\); "
        r"move the work into a task",
    ),
    "a slow shared module": (
        "dags/_slow.py",
        "import time\n\ntime.sleep(2.5)\n",
        r"3: the import takes too long \(found [2-4]\.\d s, .* the limit is 2 s\); "
        r"move the work into a task",
    ),
    "a connection over the network": (
        "dags/connects.py",
        good("connects", imports="socket", end='socket.create_connection(("127.0.0.1", 9))\n'),
        r"33: accesses the network at import \(found socket.getaddrinfo to '127.0.0.1'\).*"
        r"move it into a task",
    ),
    "a connection to an address": (
        "dags/sends.py",
        good("sends", imports="socket", end='socket.socket().connect(("127.0.0.1", 9))\n'),
        r"33: accesses the network at import \(found socket.connect to \('127.0.0.1', 9\)\)",
    ),
    "a DNS lookup in a shared module": (
        "dags/_shared.py",
        'import socket\n\nhost = socket.gethostbyname("example.invalid")\n',
        r"3: accesses the network at import \(found socket.gethostbyname to 'example.invalid'\)",
    ),
    "a call whose exception is ignored": (
        "dags/passes.py",
        good(
            "passes",
            imports="sqlite3",
            end='try:\n    sqlite3.connect("x.db")\nexcept Exception:\n    pass\n',
        ),
        r"34: opens a database connection at import \(found sqlite3.connect\); move it",
    ),
    "a subprocess": (
        "dags/calls.py",
        good("calls", imports="subprocess", end='subprocess.run(["true"])\n'),
        r"33: starts a process at import \(found subprocess.Popen\); move it",
    ),
    "a subprocess whose output is read": (
        "dags/reads.py",
        good("reads", imports="os", end='HOST = os.popen("hostname").read()\n'),
        r"33: starts a process at import \(found subprocess.Popen\); move it",
    ),
    "a shell command": (
        "dags/shells.py",
        good("shells", imports="os", end='os.system("true")\n'),
        r"33: starts a process at import \(found os.system\); move it",
    ),
    "posix_spawn": (
        "dags/spawns.py",
        good("spawns", imports="os", end='os.posix_spawn("/bin/true", ["true"], {})\n'),
        r"33: starts a process at import \(found os.posix_spawn\); move it",
    ),
    "exec": (
        "dags/becomes.py",
        good("becomes", imports="os", end='os.execv("/bin/true", ["true"])\n'),
        r"33: starts a process at import \(found os.exec\); move it",
    ),
    "fork": (
        "dags/forks.py",
        good("forks", imports="os", end="os.fork()\n"),
        r"33: starts a process at import \(found os.fork\); move it",
    ),
    "forkpty": (
        "dags/forks_too.py",
        good("forks_too", imports="os", end="os.forkpty()\n"),
        r"33: starts a process at import \(found os.forkpty\); move it",
    ),
    "a Variable": (
        "dags/asks.py",
        good("asks", end='from airflow.sdk import Variable\nVariable.get("x", default="y")\n'),
        r"34: reads an Airflow Variable at import \(found 'x'\); move it",
    ),
    "a Connection": (
        "dags/logs_in.py",
        good("logs_in", end='from airflow.sdk import BaseHook\nBaseHook.get_connection("db")\n'),
        r"34: reads an Airflow Connection at import \(found 'db'\); move it",
    ),
    "a deprecated import": (
        "dags/old.py",
        good("old", imports="airflow.decorators").replace("@task\n", "@airflow.decorators.task\n"),
        r"9: deprecated: .*airflow.decorators.*; use the named replacement",
    ),
    "a deprecation warning of Python": (
        "dags/older.py",
        good("older", imports="warnings", end='warnings.warn("x", DeprecationWarning, 1)\n'),
        r"33: deprecated: x \(found DeprecationWarning\); use the named replacement",
    ),
    "no DAG": (
        "dags/nothing.py",
        good("nothing", ("\n\nnothing()\n", "")),
        r"1: defines no DAG; .* or rename a shared module to _nothing.py \[no-dag\]",
    ),
    "a file that Airflow skips": (
        "dags/hidden.py",
        "from _hidden import make\n\nmade = make('hidden')\n",
        r"1: Airflow skips this file \(found none of its words: .*\); add the comment `# airflow dag`",
    ),
    "a module that Airflow 3 moved": (
        "dags/dummy.py",
        good("dummy", end="from airflow.operators.dummy import DummyOperator\n"),
        r"33: the import fails with ModuleNotFoundError: .* is moved into `standard` provider in "
        r"Airflow 3.0; use `EmptyOperator` from `airflow.providers.standard.operators.empty` instead$",
    ),
    "a module that Airflow 3 removed": (
        "dags/www.py",
        good("www", end="from airflow.www.security import AirflowSecurityManager\n"),
        r"33: the import fails with ModuleNotFoundError: .*; Airflow 3 has no such module: https://",
    ),
    "an argument that Airflow 3 renamed": (
        "dags/interval.py",
        good("interval", ("schedule=", "schedule_interval=")),
        r"32: the import fails with TypeError: .* 'schedule_interval' .*; `schedule_interval` is "
        r"removed in Airflow 3.0; use `schedule` instead$",
    ),
    "a module named by its folder": (
        "dags/prefixed.py",
        good("prefixed", imports="dags._files"),
        r"3: .*No module named 'dags' .*; dags/ itself is on the import path: write `_files` instead",
    ),
    "a module in another folder": (
        "dags/outside.py",
        good("outside", end="from include.texts import tyger\n"),
        r"33: .*No module named 'include' .*; only dags/ is on the import path, not its parent: move",
    ),
    "an id that does not match the file name": (
        "dags/renamed.py",
        good("other"),
        r"14: DAG id 'other' does not match its file name, .* \(found renamed.py\); "
        r"rename the DAG to 'renamed'",
    ),
    "a duplicate id": (
        "dags/copied.py",
        good("sales_report"),
        r"14: duplicate DAG id 'sales_report', .* \(also found at dags/sales_report.py:\d+\); rename one",
    ),
    "a duplicate id in one file": (
        "dags/again.py",
        good("again", end='second = DAG("again", schedule="@daily")\n'),
        r"33: duplicate DAG id 'again', .* \(also found at dags/again.py:33\); rename one",
    ),
    "a DAG in dag/": (
        "dag/lost.py",
        good("lost"),
        r"1: the platform does not read DAGs from this folder \(found in dag/, platform.yaml has "
        r"sub_path: dags\); run `git mv dag/lost.py dags/`",
    ),
    "a DAG in the root folder": (
        "astray.py",
        good("astray"),
        r"1: the platform does not read DAGs from this folder "
        r"\(found in \./, platform.yaml has sub_path: dags\)",
    ),
}


VALID_FILES = {
    "dags/shares.py": good("shares", imports="_shared"),
    "dags/waits.py": good("waits", imports="_slow"),
    # The mistake is reported for its shared module only.
    "dags/typos.py": good("typos", imports="_typo"),
    "elsewhere.py": "x = 1\n",
    "plugins/uses_another.py": "import working_days\n",
    # Not code of this repository: a virtual environment and hidden folders.
    "env/pyvenv.cfg": "",
    "env/lib/other.py": "def other(\n",
    ".tool/other.py": "def other(\n",
    "dags/_hidden.py": "from airflow.sdk import DAG\n\n\ndef make(name):\n    return DAG(name)\n",
    # Airflow does not parse them.
    "dags/plain.py": "x = 1\n",
    "dags/network.py": "import socket\n\nsocket.gethostbyname('example.invalid')\n",
    # Excluded by .airflowignore.
    "dags/_constants.py": "x = 1\n",
}


@pytest.fixture(scope="module")
def output(faulty):
    return faulty(MISTAKES, VALID_FILES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_file_line_and_fix(output, mistake):
    path, _, pattern = MISTAKES[mistake]
    assert_reported(output, path, pattern)


def test_a_mistake_is_reported_once_without_follow_up_errors(output):
    counts = Counter(line.split(":")[0] for line in output[:-1])
    hint = "`make migrate` replaces names of Airflow 2"
    assert output[-1] == f"{counts.total()} mistakes found; {hint}."
    # Its second DAG has further mistakes, and both files of a duplicate id report it.
    assert counts.pop("dags/again.py") > 1
    assert counts.pop("dags/sales_report.py") == 1
    assert counts == {path: 1 for path, _, _ in MISTAKES.values() if path != "dags/again.py"}


def test_the_output_has_no_traceback_and_no_output_of_dag_files(output):
    assert all(re.match(r"[\w./]+:\d+: ", line) for line in output[:-1])


def test_this_repository_has_no_mistakes_and_reports_import_time(repository, run):
    status, lines = run(repository)
    assert status == 0, lines
    (line,) = lines
    assert re.fullmatch(
        r"No mistakes: 5 DAGs in 5 files, slowest import dags/\w+\.py \(\d\.\d\d s\)\.", line
    )


@pytest.mark.parametrize("dags_exists", [False, True])
def test_a_misnamed_dags_folder_is_to_be_renamed(repository, run, dags_exists):
    (repository / "dags").rename(repository / "dag")
    if dags_exists:
        (repository / "dags").mkdir()
    status, lines = run(repository)
    assert status == 1
    state = "contains no DAG files" if dags_exists else "does not exist"
    rmdir = "`rmdir dags`, then " if dags_exists else ""
    assert lines == [
        f"dags/:1: the platform's DAG folder {state} (found no dags/*.py); "
        f"rename dag/: {rmdir}`git mv dag dags`",
        "1 mistake found.",
    ]


def test_an_empty_dags_folder_is_reported(repository, run):
    shutil.rmtree(repository / "dags")
    (repository / "dags").mkdir()
    _, lines = run(repository)
    assert (
        "dags/:1: the platform's DAG folder contains no DAG files "
        "(found no dags/*.py); add your DAGs to it" in lines
    )


def test_output_of_a_dag_file_is_discarded(repository, run):
    noisy = textwrap.dedent(
        """\
        print("noise")
        import logging
        logging.getLogger("x").error("more noise")
        """
    )
    (repository / "dags" / "noisy.py").write_text(good("noisy", end=noisy))
    status, lines = run(repository)
    assert (status, len(lines)) == (0, 1), lines


def test_a_file_that_is_slow_only_once_is_accepted(repository, run):
    slow_once = """\
        from pathlib import Path
        if not Path("seen").exists():
            Path("seen").touch()
            time.sleep(2.5)
        """
    (repository / "dags" / "hesitant.py").write_text(
        good("hesitant", end=textwrap.dedent(slow_once))
    )
    status, lines = run(repository)
    assert (repository / "seen").exists()
    assert status == 0, lines


def test_dags_are_read_from_the_sub_path_of_the_platform(repository, run):
    (repository / "dags").rename(repository / "flows")
    (repository / "flows" / "word_count.py").write_text(
        "from airflow.sdk import dag\n\n\n@dag\ndef word_count(): ...\n"
    )
    platform = repository / "platform.yaml"
    platform.write_text(platform.read_text().replace("sub_path: dags", "sub_path: flows"))

    status, lines = run(repository)

    assert (status, len(lines)) == (1, 2), lines
    assert lines[0].startswith("flows/word_count.py:1: defines no DAG")


def test_an_interrupt_prints_no_traceback(repository):
    (repository / "dags" / "hangs.py").write_text(
        "open('started', 'w').close()\nwhile True:\n    pass\n"
    )
    checks = subprocess.Popen(
        [sys.executable, "-m", "checks"],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell starts background jobs with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (repository / "started").exists():
        assert checks.poll() is None, (
            "the process ended before it imported the file: check the DAG file"
        )
        time.sleep(0.05)
    os.killpg(checks.pid, signal.SIGINT)
    printed, _ = checks.communicate(timeout=120)
    assert (checks.returncode, printed) == (130, b"")
