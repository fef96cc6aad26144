"""Every mistake is made in a file of its own, all files lie in one copy, and one command finds them all."""

import re
import textwrap

import pytest

GOOD = '''\
"""Documentation."""

import {imports}
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, dag, task


@task
def first() -> int:
    return 1


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="a good DAG",
    doc_md=__doc__,
    default_args={{
        "owner": "team",
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "execution_timeout": timedelta(minutes=1),
    }},
    tags=["test"],
)
def {name}():
    first()


{name}()
'''


def good(name, *changes, imports="time", end=""):
    """Return a file whose DAG is good but for what is changed."""
    text = GOOD.format(name=name, imports=imports)
    for old, new in changes:
        assert text.count(old) == 1, f"the change of {old!r} would change nothing"
        text = text.replace(old, new)
    return text + end


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
    "no tags": (
        "dags/untagged.py",
        good("untagged", ('    tags=["test"],\n', "")),
        r"14: DAG 'untagged' has no tags; add tags=",
    ),
    "no description": (
        "dags/undescribed.py",
        good("undescribed", ('    description="a good DAG",\n', "")),
        r"14: DAG 'undescribed' has no description; add description=",
    ),
    "no documentation": (
        "dags/undocumented.py",
        good("undocumented", ("    doc_md=__doc__,\n", "")),
        r"14: DAG 'undocumented' has no documentation; add doc_md=",
    ),
    "no start date": (
        "dags/unstarted.py",
        good("unstarted", ("    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n", "")),
        r"14: DAG 'unstarted' has no start date; add start_date=",
    ),
    "a start date that moves": (
        "dags/moving.py",
        good(
            "moving", ("datetime(2026, 1, 1, tzinfo=UTC)", "datetime(2026, 1, 1, 0, 0, 0, 7, UTC)")
        ),
        r"14: DAG 'moving' has a start date that moves with every parse; write a fixed day",
    ),
    "catchup": (
        "dags/catches_up.py",
        good("catches_up", ("catchup=False", "catchup=True")),
        r"14: DAG 'catches_up' would start a run for every day .* \(found catchup=True\); set catchup=False",
    ),
    "no owner": (
        "dags/orphan.py",
        good("orphan", ('        "owner": "team",\n', "")),
        r"14: task first has no owner \(found 'airflow', which is nobody\); add \"owner\"",
    ),
    "no retries": (
        "dags/once.py",
        good("once", ('        "retries": 1,\n', "")),
        r"14: task first has no retries \(found 0\); add \"retries\"",
    ),
    "no retries of one task": (
        "dags/one_once.py",
        good(
            "one_once",
            ("@task\ndef", "@task(retries=0)\ndef"),
            ("    first()\n", "    second(first())\n"),
        ).replace("@dag(", "@task\ndef second(one) -> int:\n    return 1\n\n\n@dag(", 1),
        r"9: task first has no retries \(found 0\)",
    ),
    "no pause": (
        "dags/hasty.py",
        good("hasty", ("timedelta(seconds=1)", "timedelta(0)")),
        r"14: task first has no pause before a retry; add \"retry_delay\"",
    ),
    "no time limit": (
        "dags/endless.py",
        good("endless", ('        "execution_timeout": timedelta(minutes=1),\n', "")),
        r"14: task first has no time limit; add \"execution_timeout\"",
    ),
    "an unknown queue": (
        "dags/queued.py",
        good("queued", ("@task\n", '@task(queue="gpu")\n')),
        r"9: task first would wait for ever: .* no such queue \(found 'gpu'; platform.yaml has default\)",
    ),
    "an unknown pool": (
        "dags/pooled.py",
        good("pooled", ('"retries": 1,', '"retries": 1, "pool": "narrow",')),
        r"22: task first would wait for ever: .* no such pool \(found 'narrow'; platform.yaml has default_p",
    ),
    "a cycle": (
        "dags/circle.py",
        good("circle", ("    first()\n", "    one = first()\n    one >> one.operator\n")),
        r"14: the tasks of DAG 'circle' wait for each other \(found: .*first\); take one `>>` out",
    ),
    "what Airflow cannot store": (
        "dags/unstorable.py",
        good("unstorable", ('tags=["test"],', 'tags=["test"], params={"x": object()},')),
        r"\d+: .*(cannot store DAG 'unstorable'|ParamValidationError|not JSON)",
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


@pytest.fixture(scope="module")
def said(tmp_path_factory, clone, run):
    """What one run says about a copy in which all of these mistakes were made."""
    folder = clone(tmp_path_factory.mktemp("faulty"))
    for path, text, _ in MISTAKES.values():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    # Brings in the shared module that is faulty, and is good itself.
    (folder / "dags" / "shares.py").write_text(good("shares", imports="_shared"))
    # What .airflowignore keeps from being read is not checked as a DAG.
    (folder / "dags" / "_helper.py").write_text("x = 1\n")
    status, lines = run(folder)
    assert status == 1
    return lines


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_file_its_line_and_what_to_do(said, mistake):
    path, _, wanted = MISTAKES[mistake]
    about = [line for line in said if line.startswith(f"{path}:")]
    assert any(re.match(f"{re.escape(path)}:{wanted}", line) for line in about), about or said


def test_a_mistake_is_told_once_and_without_consequences(said):
    told = [line.split(":")[0] for line in said[:-1]]
    expected = [path for path, _, _ in MISTAKES.values()] + [
        "dags/sales_report.py",
        "dags/again.py",
    ]
    assert sorted(set(told)) == sorted(set(expected)), (
        "files without a mistake, or files passed over"
    )
    assert said[-1] == f"{len(told)} mistakes found."


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
