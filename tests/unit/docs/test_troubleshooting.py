"""docs/troubleshooting.md quotes the messages of the programs."""

import re

import pytest

from tests.unit.docs.documents import ROOT, prose, strings

SOURCES = [ROOT / name for name in ("settings", "components", "policies", "ops")]
SOURCES.append(ROOT / "dags-repo-example" / "local")
ITEM = re.compile(r"^- (`[^`]+`(?:,\s+`[^`]+`)*)(?:,[^:`]*)?:", re.M)


def quotes():
    items = ITEM.findall(prose(ROOT / "docs/troubleshooting.md"))
    return [" ".join(quote.split()) for item in items for quote in re.findall(r"`([^`]+)`", item)]


def test_every_list_item_quotes_a_message():
    items = [
        line for line in prose(ROOT / "docs/troubleshooting.md").splitlines() if line[:2] == "- "
    ]
    assert len(ITEM.findall(prose(ROOT / "docs/troubleshooting.md"))) == len(items) > 20, (
        "begin each item with - `text`: what to do"
    )


@pytest.fixture(scope="module")
def literals():
    return list(strings(SOURCES))


@pytest.mark.parametrize("quote", quotes())
def test_quoted_messages_are_in_the_source(literals, quote):
    fragments = [part.strip(" ;:") for part in quote.split("...")]
    pattern = re.compile(".*?".join(re.escape(part) for part in fragments if part), re.S)
    assert any(map(pattern.search, literals)), (
        f"no program prints `{quote}`: correct docs/troubleshooting.md"
    )
