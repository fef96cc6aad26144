"""Imports every file of dags/ and plugins/ in a process of its own and collects the results."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from checks.dag_ids import FoundDag
from checks.mistake import Mistake
from checks.platform_file import Platform
from checks.watch import LIMIT_SECONDS, SLOW_SECONDS

# The fork server imports Airflow once; the process of each file is forked from it.
CONTEXT = multiprocessing.get_context("forkserver")
# Headroom for the import of Airflow, the DAG rules and a busy machine.
MARGIN_SECONDS = 30


@dataclass
class ImportResult:
    """The DAGs and mistakes of one file."""

    path: str
    seconds: float = LIMIT_SECONDS
    mistakes: set[Mistake] = field(default_factory=set)
    dags: list[FoundDag] = field(default_factory=list)
    defines_no_dag: bool = False
    """Uses `dag` or `DAG`, but no DAG is defined after its import."""


def start_forkserver() -> None:
    """Start to import Airflow in the background."""
    # Airflow reads its configuration once, on import: drop the shell's.
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(Path.cwd() / ".airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # the import of Airflow logs a lot
    os.environ["AIRFLOW__SECRETS__BACKEND"] = "checks.lookups.NoLookups"
    CONTEXT.set_forkserver_preload(["checks.default_sigint", "checks.import_file"])
    multiprocessing.forkserver.ensure_running()


def dag_files(folder: Path) -> list[Path] | str:
    """Return the files of a folder that Airflow parses, or why it cannot list them."""
    return call_in_process(_list_dag_files, folder) or []


def import_all(root: Path, files: list[Path], platform: Platform | None) -> list[ImportResult]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda file: import_one(root, file, platform), files))
    # A busy machine also makes imports slow: repeat the slow ones, one at a time.
    return [
        import_one(root, file, platform) if result.seconds > SLOW_SECONDS else result
        for file, result in zip(files, results, strict=True)
    ]


def import_one(root: Path, file: Path, platform: Platform | None) -> ImportResult:
    result = call_in_process(_import_file, root, file, platform)
    if result is None:
        path = str(file.relative_to(root))
        text = (
            "the process that imports this file exited or hung without an exception (found os._exit, "
            "a crash or an endless call in C); move the cause into a task"
        )
        return ImportResult(path, mistakes={Mistake(path, 1, text)})
    return result


def call_in_process(function: Any, *arguments: Any) -> Any:
    """Return what a function sends from a new process, or None if it sends nothing in time."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=function, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(LIMIT_SECONDS + MARGIN_SECONDS) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()
        receiver.close()


# checks.import_file imports all of Airflow: only the new process imports it.
def _list_dag_files(folder: Path, sender: Connection) -> None:
    from checks import import_file

    import_file.list_dag_files(folder, sender)


def _import_file(root: Path, file: Path, platform: Platform | None, sender: Connection) -> None:
    from checks import import_file

    import_file.run(root, file, platform, sender)
