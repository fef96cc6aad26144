"""Work in the background of a command."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Generator[None]:
    """Call `action` in a thread, first after `seconds`, until the context ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
