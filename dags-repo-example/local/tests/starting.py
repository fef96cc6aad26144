"""`make airflow`, as a person starts and stops it: from a terminal, with Ctrl-C."""

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

HEALTHY_SECONDS = 120
STOPPED_SECONDS = 90


class Started:
    def __init__(self, folder: Path, port: str = "") -> None:
        if os.geteuid() == 0:
            pytest.fail("run this as an ordinary user: PostgreSQL refuses to run as root")
        self.folder = folder
        self._output = folder / "output.txt"
        # A group of its own, as a terminal gives it: that is what Ctrl-C reaches.
        with self._output.open("w") as output:
            self.make = subprocess.Popen(
                ["make", "airflow", f"PORT={port}", f"PYTHON={sys.executable}"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._began = time.monotonic()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_healthy(self) -> Client:
        def url() -> str | None:
            assert self.make.poll() is None, self.output
            found = re.search(r"^  UI +(http://\S+)$", self.output, re.MULTILINE)
            return found and found[1]

        url = wait_for("a healthy Airflow", url, HEALTHY_SECONDS)
        print(f"healthy after {time.monotonic() - self._began:.1f} s")
        return Client(url, self.folder)

    def processes(self) -> list[psutil.Process]:
        """What runs in the folder: each of these processes has it, or a folder in it, for its own.

        `info["cmdline"]` is their command line; to ask for it later may be too late.
        """
        every = psutil.process_iter(["cwd", "cmdline"])
        return [p for p in every if Path(p.info["cwd"] or "/").is_relative_to(self.folder)]

    def press_ctrl_c(self) -> None:
        os.killpg(self.make.pid, signal.SIGINT)
        self.make.wait(STOPPED_SECONDS)

    def end(self) -> None:
        """Leave nothing behind, however the test ended."""
        if self.make.poll() is None:
            self.make.terminate()
            self.make.wait(STOPPED_SECONDS)
        for process in psutil.wait_procs(self.processes(), STOPPED_SECONDS)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
