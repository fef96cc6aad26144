"""New places of Airflow's names, from ruff's rules AIR3: https://docs.astral.sh/ruff/rules/#airflow-air"""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

FINDING = re.compile(
    r"^(?P<rule>AIR\d+) (?:\[\*\] )?(?P<text>.*)\n *--> (?P<path>.*):(?P<line>\d+):\d+$", re.M
)
HELP = re.compile(r"^help: (.*)$", re.M)


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    text: str


def find(root: Path, files: list[Path]) -> list[Finding]:
    """Return what Airflow 3 moved or removed, with its replacement."""
    # Only the full format contains the replacement.
    output = _ruff(root, files, "--select", "AIR3", "--output-format", "full")
    starts = list(FINDING.finditer(output))
    ends = [match.start() for match in starts[1:]] + [len(output)]
    findings = []
    for match, end in zip(starts, ends, strict=False):
        fix = HELP.search(output, match.end(), end)
        path = (root / match["path"]).relative_to(root)
        # The standard provider is part of Airflow.
        new = fix and re.sub(r"Install `apache-airflow-providers-standard.*?` and u", "U", fix[1])
        text = match["text"].rstrip(";. ") + (
            f"; {new[0].lower()}{new[1:].rstrip('.')}" if new else ""
        )
        findings.append(Finding(str(path), int(match["line"]), text))
    return findings


def places(statement: ast.ImportFrom) -> list[str]:
    """Return the new places of the names that a statement imports; ruff finds names in use."""
    names = [each.name for each in statement.names]
    used = "\n".join([f"from {statement.module} import {', '.join(names)}", *names])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "names.py"
        file.write_text(f"{used}\n")
        return [finding.text for finding in find(Path(folder).resolve(), [file])]


def replace(root: Path, files: list[Path]) -> None:
    """Replace what has a replacement, and remove the imports that are unused afterwards."""
    for rules in ("AIR3", "F401"):
        _ruff(root, files, "--select", rules, "--fix", "--unsafe-fixes")


def _ruff(root: Path, files: list[Path], *options: str) -> str:
    if not files:
        return ""
    ruff = Path(sys.executable).with_name("ruff")
    command = [str(ruff), "check", "--isolated", "--no-cache", "--exit-zero", *options, "--"]
    command += map(str, files)
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
