"""Markdown files of this repository: prose, fenced code, links and headings."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^\s*```(\w*)")
CODE_SPAN = re.compile(r"(`+)(.+?)\1", re.S)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.M)


@dataclass(frozen=True, kw_only=True)
class Line:
    number: int
    text: str
    block: int | None = None  # line of the opening fence; None in prose
    language: str = ""


def documents() -> list[Path]:
    """Every Markdown file that a reader follows links to."""
    folders = [ROOT, ROOT / "tests/engine"]
    found = [path for folder in folders for path in folder.glob("*.md")]
    for folder in ("docs", "dags-repo-example"):
        found += (ROOT / folder).rglob("*.md")
    hidden = [path for path in found if any(p[0] == "." for p in path.relative_to(ROOT).parts)]
    return sorted(set(found) - set(hidden))


def where(path: Path, number: int) -> str:
    return f"{path.relative_to(ROOT)}:{number}"


@cache
def lines(path: Path) -> tuple[Line, ...]:
    """Lines of a document, without fences."""
    found: list[Line] = []
    block, language = None, ""
    for number, text in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(text)
        if fence:
            block, language = (number, fence[1]) if block is None else (None, "")
        else:
            found.append(Line(number=number, text=text, block=block, language=language))
    return tuple(found)


def prose(path: Path) -> str:
    return "\n".join(line.text for line in lines(path) if line.block is None)


def spans(path: Path) -> list[str]:
    """Inline code of the prose."""
    return [" ".join(match[2].split()) for match in CODE_SPAN.finditer(prose(path))]


def links(path: Path) -> list[str]:
    """Relative targets of a document, such as `aws.md#destroy`."""
    without_code = CODE_SPAN.sub("code", prose(path))
    targets = [match[1] or match[2] for match in LINK.finditer(without_code)]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@cache
def anchors(path: Path) -> frozenset[str]:
    """Anchors that GitHub generates from the headings."""
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for line in lines(path):
        if line.block is not None or not line.text.startswith("#"):
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.text.lstrip("#").strip())
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def strings(folders: list[Path]) -> Iterator[str]:
    """String literals of programs, joined as Python joins them. NUL is a value of an f-string."""
    for path in sorted(file for folder in folders for file in folder.rglob("*")):
        if "tests" in path.parts or ".venv" in path.parts:
            continue
        if path.suffix == ".sh":
            yield path.read_text()
        elif path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(
                        part.value if isinstance(part, ast.Constant) else "\0"
                        for part in node.values
                    )
