"""Imports one DAG file or plugin as Airflow does, in a process of its own."""

import ast
import importlib.machinery
import importlib.util
import linecache
import os
import re
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.utils.file import get_unique_dag_module_name

from checks import dag_rules, moved, syntax
from checks.imports import ImportResult
from checks.mistake import Mistake
from checks.platform_file import Platform
from checks.watch import SLOW_SECONDS, Watch
from local import dag_files

UPGRADE = (
    "https://airflow.apache.org/docs/apache-airflow/stable/installation/upgrading_to_airflow3.html"
)


def list_dag_files(folder: Path, sender: Connection) -> None:
    """Send the files that .airflowignore does not exclude, or why Airflow cannot list them."""
    try:
        sender.send(dag_files.listed(folder))
    except Exception as error:
        sender.send(str(error))


def run(root: Path, file: Path, platform: Platform | None, sender: Connection) -> None:
    """Import a file and send its ImportResult."""
    silence_output()
    folder, plugins = root / (platform.sub_path if platform else "dags"), root / "plugins"
    # As on the platform: the rest of the repository is not on the import path.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(root))]
    sys.path.append(str(plugins if file.is_relative_to(plugins) else folder))
    result = ImportResult(str(file.relative_to(root)))
    watch = Watch(root, file, (folder, plugins))

    def send() -> None:
        result.mistakes |= watch.mistakes
        sender.send(result)

    begin = time.perf_counter()
    watch.start(on_timeout=send)
    dags = execute(file)
    watch.stop()
    result.seconds = time.perf_counter() - begin
    if isinstance(dags, BaseException):
        explain(root, folder, dags, watch)
        dags = None
    if result.seconds > SLOW_SECONDS:
        text = (
            f"the import takes too long (found {result.seconds:.1f} s, most of it near this line; "
            f"the limit is {SLOW_SECONDS:.0f} s); move the work into a task"
        )
        watch.add(watch.slow_place, text, "import-time")
    if file.is_relative_to(folder):
        check_dags(root, folder, file, dags, platform, result)
        if not dags and not dag_files.is_parsed(file):
            # Airflow does not import it. The files that do report its mistakes.
            watch.mistakes.clear()
    send()


def check_dags(
    root: Path,
    folder: Path,
    file: Path,
    dags: list[DAG] | None,
    platform: Platform | None,
    result: ImportResult,
) -> None:
    if dags and not dag_files.is_parsed(file):
        text = (
            "Airflow skips this file (found none of its words: `airflow`, and `dag` or `asset`); add "
            "the comment `# airflow dag`"
        )
        result.mistakes.add(Mistake(result.path, 1, text))
    elif dags:
        result.dags, mistakes = dag_rules.check(root, folder, file, dags, platform)
        result.mistakes |= mistakes
    elif dags is not None:
        result.defines_no_dag = syntax.defines_dag(ast.parse(file.read_bytes()))


def silence_output() -> None:
    """Discard the output of DAG files and of Airflow."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)


def execute(file: Path) -> list[DAG] | BaseException:
    """Execute a file and return its DAGs, or the exception that it raises."""
    name = get_unique_dag_module_name(str(file))
    loader = importlib.machinery.SourceFileLoader(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    DagContext.autoregistered_dags.clear()
    DagContext.current_autoregister_module_name = name
    try:
        loader.exec_module(module)
    except BaseException as error:
        return error
    found = [value for value in vars(module).values() if isinstance(value, DAG)]
    found += [dag for dag, _ in DagContext.autoregistered_dags]
    return list({id(dag): dag for dag in found}.values())


def explain(root: Path, folder: Path, error: BaseException, watch: Watch) -> None:
    """Report why the import failed, unless that line already has a mistake."""
    path, line = watch.place_of(error.__traceback__)
    if isinstance(error, SyntaxError) or (path, line) in {(m.path, m.line) for m in watch.mistakes}:
        return
    source = linecache.getline(path, line).strip()
    message = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    message = re.sub(r" \(/\S+\)$", "", message)  # the path of a package
    text = f"the import fails with {message} (found `{source}`); "
    if isinstance(error, SystemExit):
        text = (
            f"exits Python at import (found `{source}`); remove the call, it would stop "
            "Airflow's process"
        )
    elif advice := other_name(root, folder, root / path, line, error):
        text += advice
    elif isinstance(error, ModuleNotFoundError):
        text += (
            "only Python's standard library, modules in dags/ and the packages of the platform's image "
            "are available; add a missing package to requirements-image.txt, and ask the platform "
            "team for an image with it"
        )
    else:
        text += f"fix the error; `.venv/bin/python {path}` prints the full traceback"
    watch.add((path, line), text)


def other_name(root: Path, folder: Path, file: Path, line: int, error: BaseException) -> str | None:
    """Return the new place of what Airflow 3 moved, or the right name of a module in dags/."""
    if argument := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        found = [each for each in moved.find(root, [file]) if f"`{argument[1]}`" in each.text]
        return found[0].text if found else None
    if not isinstance(error, ImportError) or error.name is None:
        return None
    statements = ast.walk(ast.parse(file.read_bytes()))
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    statement = next((node for node in imports if node.lineno <= line <= node.end_lineno), None)
    if isinstance(statement, ast.Import):
        names = [each.name for each in statement.names]
        module = next((name for name in names if name.startswith(error.name)), error.name)
    else:
        module = getattr(statement, "module", None) or error.name
    top, _, rest = module.partition(".")
    if top == "airflow" and not module.startswith("airflow.providers."):
        found = moved.places(statement) if isinstance(statement, ast.ImportFrom) else []
        return "; ".join(found) or f"Airflow 3 has no such module: {UPGRADE}"
    if root / top == folder and rest:
        return f"{top}/ itself is on the import path: write `{rest}` instead of `{module}`"
    if (root / top).is_dir():
        return f"only {folder.name}/ is on the import path, not its parent: move {top}/ into it"
    return None
