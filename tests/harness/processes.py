"""Processes of a command, which has a session of its own."""

import os
import signal
import subprocess
from contextlib import suppress


def kill_session(process: "subprocess.Popen[str]") -> None:
    """Kill a command and its children, as the end of a container or a machine does.

    The Pulumi CLI has a process group of its own.
    """
    listed = subprocess.run(["ps", "-e", "-o", "pid="], capture_output=True, text=True, check=True)
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
