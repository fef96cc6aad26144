"""`make airflow` as a subprocess, stopped with Ctrl-C as in a terminal."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from local.tests.client import Client, wait_for

HEALTHY_SECONDS = 300  # the machine of the tests may be busy
STOPPED_SECONDS = 90


class LocalAirflow:
    def __init__(self, folder: Path, port: str = "") -> None:
        if os.geteuid() == 0:
            pytest.fail("run the tests as an ordinary user: PostgreSQL refuses to run as root")
        self.folder = folder
        self._output = folder / "output.txt"
        # Its own process group, as in a terminal: the target of Ctrl-C.
        with self._output.open("w") as output:
            self.make = subprocess.Popen(
                ["make", "airflow", f"PORT={port}", f"PYTHON={sys.executable}"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._started = time.monotonic()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_healthy(self) -> Client:
        def url() -> str | None:
            assert self.make.poll() is None, self.output
            found = re.search(r"^  UI +(http://\S+)$", self.output, re.MULTILINE)
            return found and found[1]

        url = wait_for("a healthy Airflow", url, HEALTHY_SECONDS)
        print(f"healthy after {time.monotonic() - self._started:.1f} s")
        # Browsers resolve names below localhost, other programs do not on every system.
        return Client(re.sub(r"//[\w-]+\.localhost:", "//127.0.0.1:", url), self.folder)

    def processes(self) -> list[psutil.Process]:
        """Processes whose working directory is in the folder.

        `info["cmdline"]` is read now: the process may have exited later.
        """
        processes = psutil.process_iter(["cwd", "cmdline"])
        return [p for p in processes if Path(p.info["cwd"] or "/").is_relative_to(self.folder)]

    def press_ctrl_c(self) -> None:
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.wait(STOPPED_SECONDS)

    def stop(self) -> None:
        """Stop all processes, also after a failed test."""
        if self.make.poll() is None:
            self.make.terminate()
            self.make.wait(STOPPED_SECONDS)
        for process in psutil.wait_procs(self.processes(), STOPPED_SECONDS)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
