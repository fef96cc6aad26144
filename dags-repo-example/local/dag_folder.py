"""The DAG bundle of the local DAG processor.

Airflow parses a file that changed at once, and every other file some minutes later. This bundle
also requests the files that a changed module or data file affects, as the UI does with *Reparse*.
"""

import ast
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.utils.session import create_session
from sqlalchemy.exc import IntegrityError

from local import dag_files


def referenced(source: bytes) -> set[str]:
    """Names in imports, such as `_files.py`, and parts of paths in strings, such as `*.yaml`."""
    modules: set[str] = set()
    names: set[str] = set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("airflow"):
            modules |= {node.module or "", *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            modules |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split("/")
            names |= {f"*{Path(part).suffix}" if "*" in part else part for part in parts}
    return names | {f"{name}.py" for module in modules for name in str(module).split(".")}


def names_of(path: Path) -> set[str]:
    """Names by which other files refer to this file."""
    if path.name == "__init__.py":
        return {f"{path.parent.name}.py"}
    if path.suffix == ".py":
        return {path.name}
    return {path.name, path.parent.name, f"*{path.suffix}"}


def affected(changed: Iterable[Path], references: dict[Path, set[str]]) -> set[Path]:
    """Files that refer to a changed file, directly or through other files."""
    found: set[Path] = set()
    following = set(changed)
    while following:
        names = set().union(*map(names_of, following))
        following = {
            path for path, used in references.items() if used & names and path not in found
        }
        found |= following
    return found


class DagFolder(LocalDagBundle):
    """The folder `dags/`, next to `include/`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Airflow ignores a request while it parses the file: a change is requested three times.
        self._states: deque[dict[Path, int]] = deque(maxlen=4)

    def refresh(self) -> None:
        """Airflow calls this every second."""
        times = dict(self._files())
        self._states.append(times)
        changed = {path for path, _ in self._states[0].items() ^ times.items()}
        if not changed:
            return
        references = {path: referenced(self._read(path)) for path in times if path.suffix == ".py"}
        # Without the modules that .airflowignore excludes.
        parsed = set(filter(dag_files.is_parsed, dag_files.listed(self.path)))
        for path in sorted((affected(changed, references) | changed) & parsed):
            self._request(str(path.relative_to(self.path)))

    def _files(self) -> Iterable[tuple[Path, int]]:
        for folder in (self.path, self.path.parent / "include"):
            for path in folder.rglob("*"):
                with suppress(OSError):  # deleted meanwhile
                    if path.is_file() and path.suffix != ".pyc":
                        yield path, path.stat().st_mtime_ns

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError:
            return b""

    def _request(self, file: str) -> None:
        # Not the session of the DAG processor, which is in use. IntegrityError: already requested.
        with suppress(IntegrityError), create_session(scoped=False) as session:
            session.add(DagPriorityParsingRequest(bundle_name=self.name, relative_fileloc=file))
