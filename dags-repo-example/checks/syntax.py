"""Parses Python files, and reads line numbers and DAG definitions from their syntax trees."""

import ast
from pathlib import Path

from checks.mistake import Mistake

# Text of Python's message, and what to do.
FIXES = {
    "expected ':'": "add the colon `:` at the end of this line",
    "was never closed": "add the closing bracket",
    "unexpected indent": "align it with the line above",
    "expected an indented block": "indent this line",
    "unindent does not match": "align it with its block",
    "unterminated string": "add the closing quote",
    "inconsistent use of tabs": "indent with four spaces",
}
DEFAULT_FIX = "correct this line, or the end of the line above it"


def check(root: Path, files: list[Path]) -> tuple[dict[Path, ast.Module], list[Mistake]]:
    """Return the syntax trees of valid files, and the syntax errors of the others."""
    trees, mistakes = {}, []
    for file in files:
        try:
            trees[file] = ast.parse(file.read_bytes(), filename=str(file))
        except (SyntaxError, ValueError) as error:
            mistakes.append(explain(str(file.relative_to(root)), error))
    return trees, mistakes


def explain(path: str, error: SyntaxError | ValueError) -> Mistake:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    line = getattr(error, "lineno", None) or 1
    source = (getattr(error, "text", None) or "").strip()
    found = f" (found `{source}`)" if source else ""
    fix = next((fix for part, fix in FIXES.items() if part in message), DEFAULT_FIX)
    return Mistake(path, line, f"syntax error: {message}{found}; {fix}")


class Lines:
    """Line numbers of DAGs, tasks and arguments, which the DAG objects do not store."""

    def __init__(self, tree: ast.Module) -> None:
        self._functions: dict[str, int] = {}
        self._values: dict[tuple[str, object], int] = {}
        self._dags: list[int] = []
        self._assets: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
                self._functions.setdefault(node.name, node.decorator_list[0].lineno)
                if any(ast.unparse(each).startswith("asset") for each in node.decorator_list):
                    self._assets.add(node.name)
            elif isinstance(node, ast.Call):
                self._add_call(node)
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                        self._values.setdefault((str(key.value), value.value), value.lineno)

    def _add_call(self, call: ast.Call) -> None:
        name = getattr(call.func, "attr", getattr(call.func, "id", None))
        if name in ("dag", "DAG"):
            self._dags.append(call.lineno)
            if call.args and isinstance(call.args[0], ast.Constant):
                self._values.setdefault(("dag_id", call.args[0].value), call.lineno)
        for keyword in call.keywords:
            if isinstance(keyword.value, ast.Constant) and keyword.arg:
                self._values.setdefault((keyword.arg, keyword.value.value), keyword.value.lineno)

    def argument(self, name: str, value: object) -> int | None:
        """Return the line of `name=value` in a call or in a dict such as default_args."""
        return self._values.get((name, value))

    def dag(self, dag_id: str) -> int:
        line = self.argument("dag_id", dag_id) or self._functions.get(dag_id)
        return line or min(self._dags, default=1)

    def has_dag(self, dag_id: str) -> bool:
        """Return whether the file contains the id, which is otherwise generated."""
        return bool(self.argument("dag_id", dag_id) or self._functions.get(dag_id))

    def is_asset(self, task_ids: list[str]) -> bool:
        """Return whether `@asset` created the DAG of these tasks."""
        return bool(task_ids) and self._assets.issuperset(task_ids)

    def task(self, task_id: str) -> int | None:
        name = task_id.rpartition(".")[2]
        return self.argument("task_id", name) or self._functions.get(name)


def defines_dag(tree: ast.Module) -> bool:
    """Return whether a file imports Airflow and uses `dag` or `DAG`."""
    nodes = list(ast.walk(tree))
    names = {getattr(node, "id", None) or getattr(node, "attr", None) for node in nodes}
    imports = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    imports += [
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    ]
    return bool(names & {"dag", "DAG"}) and any(name.startswith("airflow") for name in imports)


def module_name(file: Path) -> str:
    return file.parent.name if file.name == "__init__.py" else file.stem


def imported(tree: ast.Module) -> set[str]:
    """Return the last names of imported modules, and imported names, which may be modules."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {(node.module or "").rpartition(".")[2], *(each.name for each in node.names)}
        elif isinstance(node, ast.Import):
            names |= {each.name.rpartition(".")[2] for each in node.names}
    return names
