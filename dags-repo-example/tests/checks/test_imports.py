"""How files are read: every mistake is made in a file of its own, one command finds them all."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter

import pytest

from tests.checks.dag_file import good

# File, its text, what is said about it. A DAG's own line is 14, where its decorator begins.
MISTAKES = {
    "the missing colon": (
        "dags/colon.py",
        good("colon", ("def colon():", "def colon()")),
        r"28: syntax error: expected ':' \(found `def colon\(\)`\); add the colon `:` at the end of",
    ),
    "a syntax error in a plugin": (
        "plugins/bracket.py",
        "x = (1,\n",
        r"1: syntax error: '\(' was never closed \(found `x = \(1,`\); close it",
    ),
    "an import that fails": (
        "dags/fails.py",
        good("fails", end="RATE = 1 / 0\n"),
        r"33: the import fails with ZeroDivisionError: division by zero \(found `RATE = 1 / 0`\); correct it",
    ),
    "a package that the image lacks": (
        "dags/lacks.py",
        good("lacks", imports="no_such_package"),
        r"3: the import fails with ModuleNotFoundError.*no_such_package.*ask the platform team",
    ),
    "a module outside of dags/": (
        "dags/reaches.py",
        good("reaches", imports="elsewhere"),
        r"3: the import fails with ModuleNotFoundError.*elsewhere.*Python itself and modules in dags/ are",
    ),
    "a plugin, which DAGs reach through its macros only": (
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
        r"33: ends Python at import \(found `sys.exit\(0\)`\); take it out",
    ),
    "os._exit": (
        "dags/vanishes.py",
        good("vanishes", imports="os", end="os._exit(0)\n"),
        r"1: the process that imports this file ended or hung, without a word",
    ),
    "a file that hangs": (
        "dags/hangs.py",
        good("hangs", end="while True:\n    time.sleep(0.01)\n"),
        r"34: the import was not done after 5 s; move it into a task",
    ),
    "a file that is slow": (
        "dags/slow.py",
        good("slow", end="time.sleep(2.5)\n"),
        r"33: the import takes too long \(found [2-4]\.\d s, .* 2 s are allowed\); move the work into a task",
    ),
    "a shared module that is slow": (
        "dags/_slow.py",
        "import time\n\ntime.sleep(2.5)\n",
        r"3: the import takes too long \(found [2-4]\.\d s, .* 2 s are allowed\); move the work into a task",
    ),
    "a connection over the network": (
        "dags/connects.py",
        good("connects", imports="socket", end='socket.create_connection(("127.0.0.1", 9))\n'),
        r"33: calls the network at import \(found socket.getaddrinfo to '127.0.0.1'\).*move it into a task",
    ),
    "a connection to an address": (
        "dags/sends.py",
        good("sends", imports="socket", end='socket.socket().connect(("127.0.0.1", 9))\n'),
        r"33: calls the network at import \(found socket.connect to \('127.0.0.1', 9\)\)",
    ),
    "a lookup of a name in a shared module": (
        "dags/_shared.py",
        'import socket\n\nhost = socket.gethostbyname("example.invalid")\n',
        r"3: calls the network at import \(found socket.gethostbyname to 'example.invalid'\)",
    ),
    "a call whose failure is passed over": (
        "dags/passes.py",
        good(
            "passes",
            imports="sqlite3",
            end='try:\n    sqlite3.connect("x.db")\nexcept Exception:\n    pass\n',
        ),
        r"34: opens a database at import \(found sqlite3.connect\), outside of any task; move it",
    ),
    "a program": (
        "dags/calls.py",
        good("calls", imports="subprocess", end='subprocess.run(["true"])\n'),
        r"33: starts a process at import \(found subprocess.Popen\), outside of any task; move it",
    ),
    "a program whose output is read": (
        "dags/reads.py",
        good("reads", imports="os", end='HOST = os.popen("hostname").read()\n'),
        r"33: starts a process at import \(found subprocess.Popen\), outside of any task; move it",
    ),
    "a command of the shell": (
        "dags/shells.py",
        good("shells", imports="os", end='os.system("true")\n'),
        r"33: starts a process at import \(found os.system\), outside of any task; move it",
    ),
    "a program without a module for it": (
        "dags/spawns.py",
        good("spawns", imports="os", end='os.posix_spawn("/bin/true", ["true"], {})\n'),
        r"33: starts a process at import \(found os.posix_spawn\), outside of any task; move it",
    ),
    "another program in the place of Python": (
        "dags/becomes.py",
        good("becomes", imports="os", end='os.execv("/bin/true", ["true"])\n'),
        r"33: starts a process at import \(found os.exec\), outside of any task; move it",
    ),
    "a second Python": (
        "dags/forks.py",
        good("forks", imports="os", end="os.fork()\n"),
        r"33: starts a process at import \(found os.fork\), outside of any task; move it",
    ),
    "a second Python with a terminal": (
        "dags/forks_too.py",
        good("forks_too", imports="os", end="os.forkpty()\n"),
        r"33: starts a process at import \(found os.forkpty\), outside of any task; move it",
    ),
    "a Variable": (
        "dags/asks.py",
        good("asks", end='from airflow.sdk import Variable\nVariable.get("x", default="y")\n'),
        r"34: asks Airflow's database at import \(found Variable 'x'\), outside of any task; move it",
    ),
    "a Connection": (
        "dags/logs_in.py",
        good("logs_in", end='from airflow.sdk import BaseHook\nBaseHook.get_connection("db")\n'),
        r"34: asks Airflow's database at import \(found Connection 'db'\), outside of any task; move it",
    ),
    "a deprecated import": (
        "dags/old.py",
        good("old", imports="airflow.decorators").replace("@task\n", "@airflow.decorators.task\n"),
        r"9: deprecated: .*airflow.decorators.*; use what it names",
    ),
    "a deprecated call of Python": (
        "dags/older.py",
        good("older", imports="warnings", end='warnings.warn("x", DeprecationWarning, 1)\n'),
        r"33: deprecated: x \(found DeprecationWarning\); use what it names",
    ),
    "no DAG": (
        "dags/nothing.py",
        "x = 1\n",
        r"1: defines no DAG; .* or name the file _nothing.py if DAGs only share it",
    ),
    "another name": (
        "dags/renamed.py",
        good("other"),
        r"14: DAG 'other' is not named like its file, .* \(found renamed.py\); name it 'renamed'",
    ),
    "a name twice": (
        "dags/copied.py",
        good("sales_report"),
        r"14: DAG 'sales_report' is there twice, .* \(found dags/sales_report.py:\d+ too\); give this",
    ),
    "a name twice in one file": (
        "dags/again.py",
        good("again", end='second = DAG("again", schedule="@daily")\n'),
        r"33: DAG 'again' is there twice, .* \(found dags/again.py:33 too\); give this",
    ),
    "a DAG in dag/": (
        "dag/lost.py",
        good("lost"),
        r"1: a DAG where nobody looks for one \(found in dag/, the platform reads dags/\); "
        r"`git mv dag/lost.py dags/`",
    ),
    "a DAG at the top": (
        "astray.py",
        good("astray"),
        r"1: a DAG where nobody looks for one \(found in \./, the platform reads dags/\)",
    ),
}


WITHOUT_MISTAKE = {
    "dags/shares.py": good("shares", imports="_shared"),
    "dags/waits.py": good("waits", imports="_slow"),
    # Its shared module is told, once.
    "dags/typos.py": good("typos", imports="_typo"),
    "elsewhere.py": "x = 1\n",
    "plugins/uses_another.py": "import working_days\n",
    # Python of others: an environment, and what tools leave in hidden folders.
    "env/pyvenv.cfg": "",
    "env/lib/other.py": "def other(\n",
    ".tool/other.py": "def other(\n",
    # .airflowignore keeps it from being read as a DAG.
    "dags/_helper.py": "x = 1\n",
}


@pytest.fixture(scope="module")
def said(faulty):
    return faulty(MISTAKES, WITHOUT_MISTAKE)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_file_its_line_and_what_to_do(said, mistake):
    path, _, wanted = MISTAKES[mistake]
    about = [line for line in said if line.startswith(f"{path}:")]
    assert any(re.match(f"{re.escape(path)}:{wanted}", line) for line in about), about or said


def test_a_mistake_is_told_once_and_without_consequences(said):
    told = Counter(line.split(":")[0] for line in said[:-1])
    assert said[-1] == f"{told.total()} mistakes found."
    # Its second DAG has more mistakes than the name, and the first of that name is told of the other.
    assert told.pop("dags/again.py") > 1
    assert told.pop("dags/sales_report.py") == 1
    assert told == {path: 1 for path, _, _ in MISTAKES.values() if path != "dags/again.py"}


def test_no_traceback_and_nothing_that_a_file_prints_is_among_the_mistakes(said):
    assert all(re.match(r"[\w./]+:\d+: ", line) for line in said[:-1])


def test_this_repository_is_well_and_says_how_fast(repository, run):
    status, lines = run(repository)
    assert status == 0, lines
    (line,) = lines
    assert re.fullmatch(
        r"All is well: 5 DAGs in 5 files, the slowest is dags/\w+\.py with \d\.\d\d s\.", line
    )


def test_a_dags_folder_of_another_name_is_missed(repository, run):
    (repository / "dags").rename(repository / "dag")
    status, lines = run(repository)
    assert status == 1
    assert lines[0].startswith("dag/delivery_window.py:1: a DAG where nobody looks for one")
    assert (
        "dags/:1: the platform reads this folder, and there is no such folder "
        "(found no dags/*.py); put your DAGs there" in lines
    )


def test_a_file_that_prints_and_one_that_reads_the_shell_change_nothing(repository, run):
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


def test_a_file_that_was_slow_once_is_not_told(repository, run):
    once = """\
        from pathlib import Path
        if not Path("seen").exists():
            Path("seen").touch()
            time.sleep(2.5)
        """
    (repository / "dags" / "hesitant.py").write_text(good("hesitant", end=textwrap.dedent(once)))
    status, lines = run(repository)
    assert (repository / "seen").exists()
    assert status == 0, lines


def test_the_folder_of_the_dags_is_the_one_that_the_platform_reads(repository, run):
    (repository / "dags").rename(repository / "flows")
    (repository / "flows" / "word_count.py").write_text("import socket\nsocket.gethostname()\n")
    platform = repository / "platform.yaml"
    platform.write_text(platform.read_text().replace("sub_path: dags", "sub_path: flows"))

    status, lines = run(repository)

    assert (status, len(lines)) == (1, 2), lines
    assert lines[0].startswith("flows/word_count.py:1: defines no DAG")


def test_being_interrupted_leaves_no_traceback(repository):
    (repository / "dags" / "hangs.py").write_text(
        "open('begun', 'w').close()\nwhile True:\n    pass\n"
    )
    checks = subprocess.Popen(
        [sys.executable, "-m", "checks"],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell that runs the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (repository / "begun").exists():
        assert checks.poll() is None, "it ended before the file was read"
        time.sleep(0.05)
    os.killpg(checks.pid, signal.SIGINT)
    said, _ = checks.communicate(timeout=120)
    assert (checks.returncode, said) == (130, b"")
