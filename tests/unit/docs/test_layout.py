import pytest

from tests.unit.docs.documents import ROOT, documents, lines, where

COLUMNS = 100
NAMES = [str(path.relative_to(ROOT)) for path in documents()]


def is_prose(line):
    """Tables, links of their own, headings and fenced code may be longer."""
    text = line.text.strip()
    return line.block is None and not text.startswith(("|", "#", "[")) and "](" not in text


@pytest.mark.parametrize("name", NAMES)
def test_prose_wraps_at_100_columns(name):
    path = ROOT / name
    long = [
        where(path, line.number)
        for line in lines(path)
        if len(line.text) > COLUMNS and is_prose(line)
    ]
    assert long == [], f"wrap these lines at {COLUMNS} columns"


def test_the_readme_has_at_most_150_lines():
    count = len((ROOT / "README.md").read_text().splitlines())
    assert count <= 150, "move details to a page in docs/"
