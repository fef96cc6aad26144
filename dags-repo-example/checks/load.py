"""Import one DAG file, as Airflow would, in a process of its own. Nothing else here imports DAGs."""

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

from checks import rules
from checks.imports import Loaded
from checks.platform import Platform
from checks.watch import SLOW_SECONDS, Watch


def list_dag_files(folder: Path, answer: Connection) -> None:
    """Send the files that .airflowignore does not exclude."""
    answer.send(sorted(map(Path, list_py_file_paths(folder, safe_mode=False))))


def load(root: Path, file: Path, platform: Platform | None, answer: Connection) -> None:
    """Send what came of one file of dags/ or plugins/."""
    silence()
    folder, plugins = root / (platform.sub_path if platform else "dags"), root / "plugins"
    # As on the platform: the rest of the repository is not on the import path.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(root))]
    sys.path.append(str(plugins if file.is_relative_to(plugins) else folder))
    loaded = Loaded(str(file.relative_to(root)))
    watch = Watch(root, file, (folder, plugins))

    def send() -> None:
        loaded.mistakes |= watch.mistakes
        answer.send(loaded)

    begin = time.perf_counter()
    watch.start(give_up=send)
    dags = execute(file, watch)
    watch.stop()
    loaded.seconds = time.perf_counter() - begin
    if loaded.seconds > SLOW_SECONDS:
        text = (
            f"the import takes too long (found {loaded.seconds:.1f} s, most of it about here; "
            f"{SLOW_SECONDS:.0f} s are allowed); move the work into a task"
        )
        watch.add(watch.slow_place, text)
    if file.is_relative_to(folder) and dags is not None:
        loaded.dags, mistakes = rules.check(loaded.path, file, dags, platform)
        loaded.mistakes |= mistakes
    send()


def silence() -> None:
    """Keep what DAG files and Airflow print out of the list of mistakes."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def execute(file: Path, watch: Watch) -> list[DAG] | None:
    """Execute a file and return its DAGs, or None if it did not come to its end."""
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
    """Write down why the import of a file ended early, once."""
    path, line = watch.place_of(error.__traceback__)
    if isinstance(error, SyntaxError) or (path, line) in {(m.path, m.line) for m in watch.mistakes}:
        return
    source = linecache.getline(path, line).strip()
    said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    text = f"the import fails with {said} (found `{source}`); "
    if isinstance(error, SystemExit):
        text = (
            f"ends Python at import (found `{source}`); take it out, it would end Airflow's process"
        )
    elif isinstance(error, ModuleNotFoundError):
        text += (
            "only Airflow, its standard provider, Python itself and modules in dags/ are there; "
            "ask the platform team for other packages"
        )
    else:
        text += f"correct it; `.venv/bin/python {path}` shows the whole traceback"
    watch.add((path, line), text)
