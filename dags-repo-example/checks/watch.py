"""What a file does while it is imported, and at which of its lines."""

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
INSIDE_A_TASK = "move it into a task: this runs again at every parse and before each task"


class RefusedError(ConnectionError):
    """Raised in place of a call that no file may make while it is imported."""


class Watch:
    """Writes down the mistakes of one file while Python executes it."""

    current: "Watch"

    def __init__(self, root: Path, file: Path, folders: tuple[Path, ...]) -> None:
        self._root = root
        self._file = file
        self._folders = folders
        self.mistakes: set[Mistake] = set()
        self.slow_place = str(file.relative_to(root)), 1
        self._watching = True

    def place(self, frame: FrameType | None) -> tuple[str, int]:
        """Return the innermost line of this repository that led to the frame."""
        while frame:
            found = self._mine(frame.f_code.co_filename, frame.f_lineno)
            if found:
                return found
            frame = frame.f_back
        return str(self._file.relative_to(self._root)), 1

    def place_of(self, traceback: TracebackType | None) -> tuple[str, int]:
        """Return the innermost line of this repository in a traceback."""
        found = str(self._file.relative_to(self._root)), 1
        while traceback:
            code = traceback.tb_frame.f_code
            found = self._mine(code.co_filename, traceback.tb_lineno) or found
            traceback = traceback.tb_next
        return found

    def _mine(self, filename: str, line: int) -> tuple[str, int] | None:
        path = Path(filename)
        if any(path.is_relative_to(folder) for folder in self._folders):
            return str(path.relative_to(self._root)), line
        return None

    def add(self, place: tuple[str, int], text: str) -> None:
        self.mistakes.add(Mistake(*place, text))

    def refuse(self, what: str) -> None:
        """Write down a call that belongs into a task, and stop it."""
        self.add(self.place(sys._getframe(1)), f"{what}, outside of any task; {INSIDE_A_TASK}")
        raise RefusedError(what)

    def audit(self, event: str, arguments: tuple) -> None:
        if not self._watching:
            return
        if event in NETWORK:
            target = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
            self.refuse(f"calls the network at import (found {event} to {target!r})")
        elif event in DATABASE:
            self.refuse(f"opens a database at import (found {event})")
        elif event in PROCESS:
            self.refuse(f"starts a process at import (found {event})")

    def warn(self, message: Warning | str, category: type, filename: str, line: int, *_) -> None:
        """Write down a deprecation that the author can do something about."""
        if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning):
            return
        if category.__module__.startswith("airflow"):
            place = self.place(sys._getframe(1))
        else:
            place = self._mine(filename, line)
        if place:
            said = " ".join(str(message).split()).rstrip(".")
            self.add(place, f"deprecated: {said} (found {category.__name__}); use what it names")

    def start(self, give_up: Callable[[], None]) -> None:
        """Watch from here on; call `give_up` once the time is over."""
        Watch.current = self
        # A hook stays until its process ends.
        sys.addaudithook(self.audit)
        warnings.simplefilter("always")
        warnings.showwarning = self.warn

        def too_long(_signal: int, frame: FrameType | None) -> None:
            path, line = self.place(frame)
            text = f"the import was not done after {LIMIT_SECONDS:.0f} s; {INSIDE_A_TASK}"
            self.add((path, line), text)
            give_up()
            os._exit(0)

        def slow(_signal: int, frame: FrameType | None) -> None:
            self.slow_place = self.place(frame)
            signal.signal(signal.SIGALRM, too_long)
            signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS - SLOW_SECONDS)

        signal.signal(signal.SIGALRM, slow)
        signal.setitimer(signal.ITIMER_REAL, SLOW_SECONDS)

    def stop(self) -> None:
        self._watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
