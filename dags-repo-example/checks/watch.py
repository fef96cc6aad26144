"""Reports forbidden calls, deprecations and slow lines of a file during its import."""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

from checks.mistake import Mistake

SLOW_SECONDS = 2.0
LIMIT_SECONDS = 5.0
# Audit events of Python: https://docs.python.org/3/library/audit_events.html
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
DATABASE = {"sqlite3.connect"}
PROCESS = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty"}
INTO_A_TASK = "move it into a task: module code runs at every parse and before each task"


class RefusedError(ConnectionError):
    """Raised instead of a call that is forbidden at import."""


class Watch:
    """Collects the mistakes of one file while Python executes it."""

    current: "Watch"

    def __init__(self, root: Path, file: Path, folders: tuple[Path, ...]) -> None:
        self._root = root
        self._file = file
        self._folders = folders
        self.mistakes: set[Mistake] = set()
        self.slow_place = str(file.relative_to(root)), 1
        self._watching = True

    def place(self, frame: FrameType | None) -> tuple[str, int]:
        """Return the innermost line of this repository in the frame's call stack."""
        while frame:
            found = self._own_place(frame.f_code.co_filename, frame.f_lineno)
            if found:
                return found
            frame = frame.f_back
        return str(self._file.relative_to(self._root)), 1

    def place_of(self, traceback: TracebackType | None) -> tuple[str, int]:
        """Return the innermost line of this repository in a traceback."""
        found = str(self._file.relative_to(self._root)), 1
        while traceback:
            code = traceback.tb_frame.f_code
            found = self._own_place(code.co_filename, traceback.tb_lineno) or found
            traceback = traceback.tb_next
        return found

    def _own_place(self, filename: str, line: int) -> tuple[str, int] | None:
        path = Path(filename)
        if any(path.is_relative_to(folder) for folder in self._folders):
            return str(path.relative_to(self._root)), line
        return None

    def add(self, place: tuple[str, int], text: str, rule: str = "") -> None:
        self.mistakes.add(Mistake(*place, text, rule))

    def refuse(self, what: str) -> None:
        """Report a call that belongs in a task, and raise in its place."""
        self.add(self.place(sys._getframe(1)), f"{what}; {INTO_A_TASK}", "import-work")
        raise RefusedError(what)

    def audit(self, event: str, arguments: tuple) -> None:
        if not self._watching:
            return
        if event in NETWORK:
            target = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
            self.refuse(f"accesses the network at import (found {event} to {target!r})")
        elif event in DATABASE:
            self.refuse(f"opens a database connection at import (found {event})")
        elif event in PROCESS:
            self.refuse(f"starts a process at import (found {event})")

    def warn(self, message: Warning | str, category: type, filename: str, line: int, *_) -> None:
        """Report a deprecation in code of this repository."""
        if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning):
            return
        if category.__module__.startswith("airflow"):
            place = self.place(sys._getframe(1))
        else:
            place = self._own_place(filename, line)
        if place:
            text = " ".join(str(message).split()).rstrip(".")
            fix = "use the named replacement"
            self.add(place, f"deprecated: {text} (found {category.__name__}); {fix}", "deprecated")

    def start(self, on_timeout: Callable[[], None]) -> None:
        """Start to watch; after LIMIT_SECONDS call `on_timeout` and end the process."""
        Watch.current = self
        # Python has no way to remove an audit hook: stop() disables it.
        sys.addaudithook(self.audit)
        warnings.simplefilter("always")
        warnings.showwarning = self.warn

        def timed_out(_signal: int, frame: FrameType | None) -> None:
            path, line = self.place(frame)
            text = f"the import was still at this line after {LIMIT_SECONDS:.0f} s; {INTO_A_TASK}"
            self.add((path, line), text)
            on_timeout()
            os._exit(0)

        def slow(_signal: int, frame: FrameType | None) -> None:
            self.slow_place = self.place(frame)
            signal.signal(signal.SIGALRM, timed_out)
            signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS - SLOW_SECONDS)

        signal.signal(signal.SIGALRM, slow)
        signal.setitimer(signal.ITIMER_REAL, SLOW_SECONDS)

    def stop(self) -> None:
        self._watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
