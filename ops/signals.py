"""Signals that end a command: from a terminal, from `timeout`, from a CI runner."""

import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

# SIGHUP: the terminal was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `timeout` signals a command and its process group. For Pulumi, a second signal means: no graceful
# shutdown.
SAME_SECONDS = 2


def as_interrupts() -> None:
    """Raise `KeyboardInterrupt` on every ending signal, so that commands clean up."""
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def forwarded() -> Generator[Callable[[subprocess.Popen[bytes]], None]]:
    """Send SIGINT to the attached processes on every ending signal, and wait for them.

    Attach a process as soon as it has started; it also gets a signal that came in between. The
    processes need a process group of their own: otherwise, they receive the signals of the terminal
    twice.
    """
    processes: list[subprocess.Popen[bytes]] = []
    signalled: set[int] = set()
    last = float("-inf")

    def forward(_number: int, _frame: object) -> None:
        nonlocal last
        if time.monotonic() - last < SAME_SECONDS:
            return
        last = time.monotonic()
        with suppress(OSError):  # the terminal may be closed
            print("interrupted: waiting for Pulumi to shut down; re-run the command to continue")
        for process in processes:
            signalled.add(process.pid)
            process.send_signal(signal.SIGINT)

    def attach(process: subprocess.Popen[bytes]) -> None:
        processes.append(process)
        if last > float("-inf") and process.pid not in signalled:
            signalled.add(process.pid)
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in ENDING}
    try:
        yield attach
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
