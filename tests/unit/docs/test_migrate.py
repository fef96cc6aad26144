"""Tables of docs/migrate.md: settings of this program, and values of the official chart."""

import json
import re

import pytest

from tests.unit.docs.documents import ROOT, lines

PAGE = ROOT / "docs/migrate.md"
SPAN = re.compile(r"`([A-Za-z_]+(?:\.[A-Za-z_]+)*)`")
SETTINGS = re.findall(r"^\| `([a-z_.]+)`", (ROOT / "docs/settings.md").read_text(), re.M)
SECRETS = re.findall(r"config set --secret (\w+)", (ROOT / "docs/settings.md").read_text())
CHART = json.loads((ROOT / "settings/chart_keys.json").read_text())["keys"]


def names(column):
    """Names in the cells of a column, over all tables that have it."""
    index = None
    for line in lines(PAGE):
        if not line.text.startswith("|"):
            index = None
            continue
        cells = [cell.strip() for cell in line.text.strip("|").split("|")]
        if index is None:
            index = cells.index(column) if column in cells else -1
        elif index >= 0:
            yield from SPAN.findall(cells[index])


def in_chart(name):
    keys = CHART
    for part in name.split("."):
        if not isinstance(keys, dict) or part not in keys:
            return False
        keys = keys[part]
    return True


def test_the_settings_of_the_tables_exist():
    sections = {name.partition(".")[0] for name in SETTINGS}
    named = {name for name in names("here") if "." in name and name.split(".")[0] in sections}
    assert named, "the tables have a column `here`"
    known = {*SETTINGS, *(name.rpartition(".")[0] for name in SETTINGS)}
    assert sorted(named - known) == [], "docs/settings.md has no such setting"


def test_the_secrets_of_the_tables_exist():
    text = PAGE.read_text()
    named = {
        name
        for list_ in re.findall(r"secrets? ((?:`\w+`(?:, )?)+)", text)
        for name in SPAN.findall(list_)
    }
    assert sorted(named - {*SECRETS}) == [], "docs/settings.md has no such Pulumi secret"


@pytest.mark.parametrize("name", sorted(set(names("official chart"))))
def test_the_values_of_the_official_chart_exist(name):
    assert in_chart(name), "the chart of this program has no such value: correct the table"
