"""Quoted messages are messages of the programs: in troubleshooting, runbooks and outputs."""

import re

import pytest

from tests.unit.docs.documents import ROOT, lines, prose, strings, where

SOURCES = [ROOT / name for name in ("settings", "components", "policies", "ops")]
SOURCES.append(ROOT / "dags-repo-example" / "local")
ITEM = re.compile(r"^- (`[^`]+`(?:,\s+`[^`]+`)*)(?:,[^:`]*)?:", re.M)
TROUBLESHOOTING = prose(ROOT / "docs/troubleshooting.md")
# Runbooks list messages of this program and of its tools.
RUNBOOKS = [ROOT / f"docs/runbooks/{name}.md" for name in ("interrupted-command", "drift")]
OF_TOOLS = {
    "64 unchanged",
    "An error occurred (AccessDenied)",
    "the stack is currently locked by 1 lock(s)",
}
OUTPUTS = [ROOT / name for name in ("README.md", "docs/aws.md", "docs/operations.md")]


def quotes():
    rows = [
        re.match(r"\| ((?:[^|`]|`[^`]*`)*) \|", line.text) for p in RUNBOOKS for line in lines(p)
    ]
    cells = {quote for row in rows if row for quote in re.findall(r"`([^`]+)`", row[1])}
    messages = {cell for cell in cells if " " in cell and ": " not in cell}
    items = re.findall(r"`([^`]+)`", " ".join(ITEM.findall(TROUBLESHOOTING)))
    return sorted({" ".join(quote.split()) for quote in items} | messages - OF_TOOLS)


def printed_lines():
    """Lines below `$ make ...` and `Airflow is healthy.` in fenced blocks."""
    for path in OUTPUTS:
        block, prints = None, False
        for line in lines(path):
            if line.block is None:
                continue
            if line.block != block:
                block, prints = line.block, line.text.startswith(("$ make", "Airflow is healthy."))
                prints = prints and not line.text.startswith(
                    ("$ make queues", "$ make dags", "$ make plan")
                )
            if prints and not line.text.startswith(("$ ", "...")):
                yield where(path, line.number), line.text.strip()


def announced():
    """Messages after `prints`, `reports` or `ends with` in prose."""
    for path in OUTPUTS + RUNBOOKS:
        text = " ".join(prose(path).split())
        for quote in re.findall(r"(?:prints|reports|ends with) `([^`]+)`", text):
            if quote not in OF_TOOLS:
                yield path.name, quote


@pytest.fixture(scope="module")
def literals():
    return list(strings(SOURCES))


@pytest.fixture(scope="module")
def messages(literals):
    """Patterns of the lines that programs print. A value of an f-string matches any text."""
    parts = {line.strip() for literal in literals for line in literal.splitlines()}
    return [
        re.compile(".+".join(map(re.escape, part.split("\0"))))
        for part in parts
        if len(re.sub(r"\W", "", part)) >= 8
    ]


def test_every_list_item_quotes_a_message():
    items = [line for line in TROUBLESHOOTING.splitlines() if line.startswith("- ")]
    assert len(ITEM.findall(TROUBLESHOOTING)) == len(items) > 20, (
        "begin each item with - `text`: what to do"
    )


@pytest.mark.parametrize("quote", quotes())
def test_quoted_messages_are_in_the_source(literals, quote):
    # The key of a setting before a message is added when the message is printed.
    message = re.sub(r"^[a-z_]+\.[a-z_]+: ", "", quote)
    fragments = [part.strip(" ;:.") for part in message.split("...")]
    pattern = re.compile(".*?".join(re.escape(part) for part in fragments if part), re.S)
    assert any(map(pattern.search, literals)), (
        f"no program prints `{quote}`: correct docs/troubleshooting.md or the runbook"
    )


@pytest.mark.parametrize(("line", "text"), [*printed_lines(), *announced()])
def test_shown_outputs_are_printed_by_the_programs(messages, line, text):
    assert any(message.fullmatch(text) for message in messages), (
        f"{line}: no f-string in the code prints this line: copy the output of the command"
    )
