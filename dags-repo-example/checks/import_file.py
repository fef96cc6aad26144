"""Imports one DAG file or plugin as Airflow does, in a process of its own."""

import importlib.machinery
import importlib.util
import linecache
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.utils.file import get_unique_dag_module_name, list_py_file_paths

from checks import dag_rules
from checks.imports import ImportResult
from checks.platform_file import Platform
from checks.watch import SLOW_SECONDS, Watch


def list_dag_files(folder: Path, sender: Connection) -> None:
    """Send the files that .airflowignore does not exclude."""
    sender.send(sorted(map(Path, list_py_file_paths(folder, safe_mode=False))))


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
    dags = execute(file, watch)
    watch.stop()
    result.seconds = time.perf_counter() - begin
    if result.seconds > SLOW_SECONDS:
        text = (
            f"the import takes too long (found {result.seconds:.1f} s, most of it near this line; "
            f"the limit is {SLOW_SECONDS:.0f} s); move the work into a task"
        )
        watch.add(watch.slow_place, text)
    if file.is_relative_to(folder) and dags is not None:
        result.dags, mistakes = dag_rules.check(result.path, file, dags, platform)
        result.mistakes |= mistakes
    send()


def silence_output() -> None:
    """Discard the output of DAG files and of Airflow."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)


def execute(file: Path, watch: Watch) -> list[DAG] | None:
    """Execute a file and return its DAGs, or None if it raises."""
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
        explain(error, watch)
        return None
    found = [value for value in vars(module).values() if isinstance(value, DAG)]
    found += [dag for dag, _ in DagContext.autoregistered_dags]
    return list({id(dag): dag for dag in found}.values())


def explain(error: BaseException, watch: Watch) -> None:
    """Report why the import failed, unless that line already has a mistake."""
    path, line = watch.place_of(error.__traceback__)
    if isinstance(error, SyntaxError) or (path, line) in {(m.path, m.line) for m in watch.mistakes}:
        return
    source = linecache.getline(path, line).strip()
    message = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    text = f"the import fails with {message} (found `{source}`); "
    if isinstance(error, SystemExit):
        text = (
            f"exits Python at import (found `{source}`); remove the call, it would stop "
            "Airflow's process"
        )
    elif isinstance(error, ModuleNotFoundError):
        text += (
            "only Python's standard library, modules in dags/ and the packages of the platform's image "
            "are available; add a missing package to requirements-image.txt, and ask the platform "
            "team for an image with it"
        )
    else:
        text += f"fix the error; `.venv/bin/python {path}` prints the full traceback"
    watch.add((path, line), text)
