"""DAG files are in the folder that the platform reads."""

import ast
from collections.abc import Iterable
from difflib import get_close_matches
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
    # One advice for all files of a folder that should have another name.
    ignored = {*NO_DAG_FOLDERS, misnamed_folder(root, sub_path)}
    for file, tree in trees.items():
        path = file.relative_to(root)
        in_dag_folder = file.is_relative_to(root / sub_path)
        if not in_dag_folder and path.parts[0] not in ignored and defines_dag(tree):
            text = (
                f"the platform does not read DAGs from this folder (found in {path.parent}/, "
                f"platform.yaml has sub_path: {sub_path}); run `git mv {path} {sub_path}/`"
            )
            yield Mistake(str(path), 1, text)


def has_dag_files(root: Path, sub_path: str) -> bool:
    return any(not path.name.startswith("_") for path in (root / sub_path).rglob("*.py"))


def no_dag_files(root: Path, sub_path: str) -> Mistake:
    folder = root / sub_path
    state = "contains no DAG files" if folder.is_dir() else "does not exist"
    similar = misnamed_folder(root, sub_path)
    # Docker creates the missing folder of a mount.
    rmdir = f"`rmdir {sub_path}`, then " if folder.is_dir() else ""
    rename = f"rename {similar}/: {rmdir}`git mv {similar} {sub_path}`"
    fix = rename if similar else "add your DAGs to it"
    text = f"the platform's DAG folder {state} (found no {sub_path}/*.py); {fix}"
    return Mistake(f"{sub_path}/", 1, text)


def misnamed_folder(root: Path, sub_path: str) -> str | None:
    """Return a folder with Python files that should have the name of the DAG folder, as `dag`."""
    if has_dag_files(root, sub_path):
        return None
    names = [path.name for path in root.iterdir() if path.is_dir() and any(path.rglob("*.py"))]
    return next(iter(get_close_matches(sub_path, names, n=1)), None)
