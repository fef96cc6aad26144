"""Findings of the scanners, and the file of those that are accepted with a reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("excuses.yaml")
MIN_REASON = 20


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    tool: str
    check: str
    resource: str
    what: str
    stack: str


@dataclass(frozen=True, kw_only=True)
class Excuse:
    """`resources` are patterns such as `Deployment.airflow.*`; each must match a finding."""

    check: str
    resources: tuple[str, ...]
    reason: str

    def covers(self, finding: Finding) -> bool:
        return any(self.matches(pattern, finding) for pattern in self.resources)

    def matches(self, pattern: str, finding: Finding) -> bool:
        return finding.check == self.check and fnmatchcase(finding.resource, pattern)


def read(path: Path = FILE) -> list[Excuse]:
    """Raises `ValueError` for an entry without a reason."""
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text()) or []
    excuses = [Excuse(**{**entry, "resources": tuple(entry["resources"])}) for entry in entries]
    for excuse in excuses:
        if len(excuse.reason.strip()) < MIN_REASON:
            raise ValueError(f"{path.name}: {excuse.check}: needs a reason")
    return excuses


def not_excused(findings: Sequence[Finding], excuses: Sequence[Excuse]) -> list[Finding]:
    return sorted(f for f in findings if not any(excuse.covers(f) for excuse in excuses))


def unused(findings: Sequence[Finding], excuses: Sequence[Excuse]) -> Iterator[str]:
    """Patterns that match no finding: the cause is gone, and so should the excuse."""
    for excuse in excuses:
        for pattern in excuse.resources:
            if not any(excuse.matches(pattern, finding) for finding in findings):
                yield f"{excuse.check}  {pattern}"
