"""`python -m checks.migrate`: replace the names of Airflow 2, and report what is left."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from checks import ROOT, folders, moved, repository
from checks.mistake import Mistake

# Rules that concern the code; the others are the style of this repository.
OF_AIRFLOW = {"", "deprecated", "import-work", "no-dag", "script", "template"}


def main() -> int:
    os.chdir(ROOT)
    files = [
        file.relative_to(ROOT)
        for file in folders.python_files(ROOT)
        if file.relative_to(ROOT).parts[0] not in {"checks", "local", "tests"}
    ]
    before = moved.find(ROOT, files)
    moved.replace(ROOT, sorted({Path(finding.path) for finding in before}))
    after = moved.find(ROOT, files)
    found = repository.check(ROOT).mistakes
    mistakes = {mistake for mistake in found if mistake.rule in OF_AIRFLOW}
    replaced = Counter(each.path for each in before) - Counter(each.path for each in after)
    left = [*mistakes, *without_repeats(after, mistakes)]
    print(*report(replaced, left, Counter(each.rule for each in found - mistakes)), sep="\n")
    return 1 if left else 0


def without_repeats(findings: list[moved.Finding], mistakes: set[Mistake]) -> Iterable[Mistake]:
    """Return the findings that no mistake of the same file reports."""
    for finding in findings:
        name = re.search(r"`([\w.]+)`", finding.text)
        reported = (each.text for each in mistakes if each.path == finding.path)
        if not (name and any(re.search(rf"\b{re.escape(name[1])}\b", text) for text in reported)):
            yield Mistake(finding.path, finding.line, finding.text)


def report(replaced: Counter[str], left: list[Mistake], of_style: Counter[str]) -> Iterable[str]:
    if replaced:
        files = ", ".join(f"{path} ({count})" for path, count in sorted(replaced.items()))
        yield f"Replaced {replaced.total()} names of Airflow 2, see `git diff`: {files}"
    for path, mistakes in groupby(sorted(left), key=lambda mistake: mistake.path):
        yield path
        yield from (f"  {mistake.line:4}  {mistake.text}" for mistake in mistakes)
    files = len({mistake.path for mistake in left})
    yield (
        f"{len(left)} left in {files} file{'s' * (files > 1)}: correct them and run `make migrate` again."
        if left
        else "Nothing is left to migrate."
    )
    if of_style:
        rules = ", ".join(f"{count} {rule}" for rule, count in of_style.most_common())
        yield f"Rules that `make check` reports and pyproject.toml can excuse: {rules}."


if __name__ == "__main__":
    sys.exit(main())
