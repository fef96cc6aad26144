"""DAG files are in the folder that the platform reads."""

import ast
from collections.abc import Iterable
from pathlib import Path

from checks.mistake import Mistake
from checks.syntax import defines_dag

# Folders that may use the names of a DAG file without defining a DAG.
NO_DAG_FOLDERS = {"checks", "include", "local", "plugins", "tests"}


def python_files(root: Path) -> list[Path]:
    """Return the repository's Python files, without virtual environments and hidden folders."""
    files = sorted(root.glob("*.py"))
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if not folder.name.startswith(".") and not (folder / "pyvenv.cfg").exists():
            files += sorted(folder.rglob("*.py"))
    return files


def check(root: Path, trees: dict[Path, ast.Module], sub_path: str) -> Iterable[Mistake]:
    """Report DAGs outside the DAG folder."""
    for file, tree in trees.items():
        path = file.relative_to(root)
        in_dag_folder = file.is_relative_to(root / sub_path)
        if not in_dag_folder and path.parts[0] not in NO_DAG_FOLDERS and defines_dag(tree):
            text = (
                f"the platform does not read DAGs from this folder (found in {path.parent}/, "
                f"platform.yaml has sub_path: {sub_path}); run `git mv {path} {sub_path}/`"
            )
            yield Mistake(str(path), 1, text)


def no_dag_files(root: Path, sub_path: str) -> Mistake:
    state = "contains no DAG files" if (root / sub_path).is_dir() else "does not exist"
    text = f"the platform's DAG folder {state} (found no {sub_path}/*.py); add your DAGs to it"
    return Mistake(f"{sub_path}/", 1, text)
