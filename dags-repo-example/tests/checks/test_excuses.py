"""Excuses in pyproject.toml."""

import pytest

from checks import excuses
from checks.mistake import Mistake

TAGS = Mistake("dags/old/a.py", 3, "has no tags", "tags")
OWNER = Mistake("dags/b.py", 4, "has no owner", "owner")
BROKEN = Mistake("dags/b.py", 1, "the import fails")
ALL = {TAGS, OWNER, BROKEN}


@pytest.mark.parametrize(
    ("excuse", "left"),
    [
        ("tags", {OWNER, BROKEN}),
        ("dags/old/*", {OWNER, BROKEN}),
        ("dags/b.py", {TAGS}),
        ("dags/b.py:owner", {TAGS, BROKEN}),
        ("dags/*:tags", {OWNER, BROKEN}),
    ],
)
def test_a_file_or_a_rule_is_excused_with_a_reason(excuse, left):
    assert excuses.apply(ALL, {excuse: "replaced in May"}) == (left, len(ALL) - len(left))


@pytest.mark.parametrize("reason", ["", " ", 1])
def test_an_excuse_without_a_reason_is_a_mistake(reason):
    (mistake,) = excuses.apply({TAGS}, {"tags": reason})[0]
    assert str(mistake) == (
        'pyproject.toml:1: [tool.checks.excuses] "tags" has no reason; add one as its value'
    )


@pytest.mark.parametrize("excuse", ["tag", "dags/gone.py", "dags/old/a.py:owner"])
def test_an_excuse_of_nothing_is_a_mistake(excuse):
    left, excused = excuses.apply({TAGS}, {excuse: "a reason"})
    (mistake,) = left - {TAGS}
    assert excused == 0
    assert f'"{excuse}" excuses no mistake; remove it' in str(mistake)


def test_excuses_are_read_from_pyproject_toml(tmp_path):
    assert excuses.read(tmp_path) == {}
    text = '[tool.checks.excuses]\n"dags/old/*" = "replaced in May"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    assert excuses.read(tmp_path) == {"dags/old/*": "replaced in May"}


def test_an_excused_rule_lets_the_checks_pass(repository, run):
    dag = repository / "dags" / "word_count.py"
    dag.write_text(dag.read_text().replace('    tags=["example", "text"],\n', ""))
    status, lines = run(repository)
    assert status == 1
    assert lines[0].endswith("the UI filters DAGs by tag [tags]")
    (repository / "pyproject.toml").write_text('[tool.checks.excuses]\ntags = "one team"\n')
    status, lines = run(repository)
    assert status == 0, lines
    assert lines[0].endswith(", 1 excused in pyproject.toml.")
