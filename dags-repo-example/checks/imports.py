"""Import every file of dags/ and plugins/, each in a process of its own, and gather what came of it."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from checks.mistake import Mistake
from checks.platform import Platform
from checks.watch import LIMIT_SECONDS, SLOW_SECONDS

# One process imports Airflow; those of the files are forked from it.
CONTEXT = multiprocessing.get_context("forkserver")
# For what comes beside the import of a file: that of Airflow, the rules, a busy machine.
MARGIN_SECONDS = 30


@dataclass
class Loaded:
    """What came of one file."""

    path: str
    seconds: float = LIMIT_SECONDS
    mistakes: set[Mistake] = field(default_factory=set)
    dags: list[tuple[str, int]] = field(default_factory=list)
    """Their ids, and the lines where they are defined."""


def start() -> None:
    """Begin to import Airflow, in the background."""
    # Airflow reads its settings once, on import. Those of the shell are not the author's business.
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(Path.cwd() / ".airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # its import is talkative
    os.environ["AIRFLOW__SECRETS__BACKEND"] = "checks.lookups.NoLookups"
    CONTEXT.set_forkserver_preload(["checks.load"])
    multiprocessing.forkserver.ensure_running()


def dag_files(folder: Path) -> list[Path]:
    """Return the files in a folder that Airflow reads."""
    return ask(_list_dag_files, folder) or []


def load_all(root: Path, files: list[Path], platform: Platform | None) -> list[Loaded]:
    """Return what came of every file."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        loaded = list(pool.map(lambda file: load(root, file, platform), files))
    # A machine that is busy for a moment is not the file's fault: once more, alone.
    return [
        load(root, file, platform) if one.seconds > SLOW_SECONDS else one
        for file, one in zip(files, loaded, strict=True)
    ]


def load(root: Path, file: Path, platform: Platform | None) -> Loaded:
    loaded = ask(_load, root, file, platform)
    if loaded is None:
        path = str(file.relative_to(root))
        text = (
            "the process that imports this file ended or hung, without a word (found os._exit, a crash "
            "or an endless call in C); move what does it into a task"
        )
        return Loaded(path, mistakes={Mistake(path, 1, text)})
    return loaded


def ask(function: Any, *arguments: Any) -> Any:
    """Return what a function sends, called in a new process; None if it sends nothing in time."""
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


# Only the new process needs what checks.load imports: all of Airflow.
def _list_dag_files(folder: Path, answer: Connection) -> None:
    from checks import load

    load.list_dag_files(folder, answer)


def _load(root: Path, file: Path, platform: Platform | None, answer: Connection) -> None:
    from checks import load

    load.load(root, file, platform, answer)
