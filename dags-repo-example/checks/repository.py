"""All checks of the repository."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from checks import (
    compose_file,
    compose_rules,
    dag_ids,
    delivery,
    excuses,
    folders,
    imports,
    platform_file,
    syntax,
)
from checks.imports import ImportResult
from checks.mistake import Mistake
from checks.platform_file import Platform


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

    undelivered = set(check_delivery(root, platform))
    dag_files = imports.dag_files(root / sub_path)
    if isinstance(dag_files, str):
        # Usually one of these mistakes is the cause.
        undelivered = undelivered or {no_list(sub_path, dag_files)}
        dag_files = []
    elif not dag_files:
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
    mistakes, excused = excuses.apply(found, excuses.read(root))
    return Report(mistakes | undelivered, excused, results)


def check_delivery(root: Path, platform: Platform | None) -> Iterable[Mistake]:
    """Report why the platform would not deliver a commit of these files; no excuse changes that."""
    if platform is None:
        return
    limits = delivery.Limits(
        sub_path=platform.sub_path,
        max_mb=platform.max_mb,
        max_file_mb=platform.max_file_mb,
        max_files=platform.max_files,
    )
    try:
        entries = delivery.working_tree(root, platform.lfs)
    except (FileNotFoundError, CalledProcessError):  # not a Git repository: nothing can be pushed
        return
    for finding in delivery.check(entries, limits):
        yield Mistake(finding.path or ".", 1, finding.text)


def no_list(sub_path: str, error: str) -> Mistake:
    text = (
        f"Airflow cannot list the files of this folder, and its DAG processor would end (found: {error}); "
        "correct the link or the .airflowignore in this message"
    )
    return Mistake(f"{sub_path}/", 1, text)


def no_dag(path: str) -> Mistake:
    text = (
        "defines no DAG; call the @dag function at the end of the file, or rename a shared module "
        f"to _{Path(path).name}"
    )
    return Mistake(path, 1, text, "no-dag")
