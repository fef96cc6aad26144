import re

from tests.unit.docs.documents import ROOT


def test_test_names_have_at_most_60_characters():
    long = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"def (test_\w+)", path.read_text())
        if len(name) > 60 and ".venv" not in path.parts
    ]
    assert long == [], "shorten these names"
