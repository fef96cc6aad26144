"""All checks of the repository."""

from dataclasses import dataclass
from pathlib import Path

from checks import (
    compose_file,
    compose_rules,
    dag_ids,
    excuses,
    folders,
    imports,
    platform_file,
    syntax,
)
from checks.imports import ImportResult
from checks.mistake import Mistake


@dataclass(frozen=True)
class Report:
    mistakes: set[Mistake]
    excused: int
    results: list[ImportResult]


def check(root: Path) -> Report:
    imports.start_forkserver()
    platform, mistakes = platform_file.read(root)
    found = set(mistakes)
    sub_path = platform.sub_path if platform else "dags"

    project, mistakes = compose_file.read(root)
    found |= {*mistakes, *compose_rules.check(root, project, platform)}

    trees, mistakes = syntax.check(root, folders.python_files(root))
    found |= {*mistakes, *folders.check(root, trees, sub_path)}

    dag_files = imports.dag_files(root / sub_path)
    if not dag_files:
        found.add(folders.no_dag_files(root, sub_path))
    files = [file for file in [*dag_files, *sorted(root.glob("plugins/*.py"))] if file in trees]
    results = imports.import_all(root, files, platform)
    found |= {mistake for result in results for mistake in result.mistakes}
    found |= set(dag_ids.check([dag for result in results for dag in result.dags]))
    modules = set().union(*map(syntax.imported, trees.values()))
    found |= {
        no_dag(result.path)
        for result in results
        if result.defines_no_dag and syntax.module_name(Path(result.path)) not in modules
    }
    return Report(*excuses.apply(found, excuses.read(root)), results)


def no_dag(path: str) -> Mistake:
    text = (
        "defines no DAG; call the @dag function at the end of the file, or rename a shared module "
        f"to _{Path(path).name}"
    )
    return Mistake(path, 1, text, "no-dag")
