"""Do the DAGs lie where they are read?"""

import ast
from collections.abc import Iterable
from pathlib import Path

from checks.mistake import Mistake
from checks.syntax import defines_dag

# Python of this repository that is no DAG, whatever it imports.
OTHERS = {"checks", "include", "local", "plugins", "tests"}


def python_files(root: Path) -> list[Path]:
    """Return the Python files that belong to this repository, not to a tool or an environment."""
    files = sorted(root.glob("*.py"))
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if not folder.name.startswith(".") and not (folder / "pyvenv.cfg").exists():
            files += sorted(folder.rglob("*.py"))
    return files


def check(root: Path, trees: dict[Path, ast.Module], sub_path: str) -> Iterable[Mistake]:
    """Tell which DAGs nobody would ever read."""
    for file, tree in trees.items():
        path = file.relative_to(root)
        here = file.is_relative_to(root / sub_path)
        if not here and path.parts[0] not in OTHERS and defines_dag(tree):
            text = (
                f"a DAG where nobody looks for one (found in {path.parent}/, the platform reads "
                f"{sub_path}/); `git mv {path} {sub_path}/`"
            )
            yield Mistake(str(path), 1, text)


def nothing_found(root: Path, sub_path: str) -> Mistake:
    there = "it has no DAG file" if (root / sub_path).is_dir() else "there is no such folder"
    text = f"the platform reads this folder, and {there} (found no {sub_path}/*.py); put your DAGs there"
    return Mistake(f"{sub_path}/", 1, text)
