"""The list of unknowns in tests/engine/README.md: each has a check of `make doctor`, or a reason."""

import re

import pytest

from ops.doctor.checks import CHECKS
from tests.unit.docs.documents import ROOT

PAGE = (ROOT / "tests/engine/README.md").read_text()
SECTION = PAGE.partition("## Unknown on AWS\n")[2].partition("\n## ")[0]
ROWS = [line.strip("|").split(" | ") for line in SECTION.splitlines() if line.startswith("| ")][2:]
ITEMS = {check.item for check in CHECKS}


def answers(cell):
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_each_unknown_has_a_doctor_check_or_a_reason(row):
    _, look_at, answer = row
    assert look_at.strip(), "say what a first real account should look at"
    if answer.startswith("no check: "):
        assert len(answer) > len("no check: ") + 20, "say why"
    else:
        assert answers(answer), "name a check of ops/doctor/checks.py, or write `no check: why`"
        assert answers(answer) <= ITEMS, "ops/doctor/checks.py has no such check"


def test_each_doctor_check_answers_an_unknown_of_the_list():
    listed = set().union(*(answers(row[2]) for row in ROWS if not row[2].startswith("no check")))
    assert sorted(ITEMS - listed) == [], "add a row to tests/engine/README.md, Unknown on AWS"
    assert len(ROWS) > 10
