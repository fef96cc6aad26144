"""The stack dev with the real charts: Airflow on the simulated EKS, with the simulated RDS."""

import threading
import time
from pathlib import Path

import pytest

from tests.engine.account import GIT_IN_CLUSTER
from tests.harness.airflow_api import Api

PROCESSES = Path("/proc")
# A shell replaces its command line soon after its start, if at all.
READS = 40
CONFIGURED = "a-configured-password-of-admin"
# A chart value of the first deployment that a test removes.
INSTANCE_NAME = "Set by the stack file"


class CommandLines:
    """Records the command lines of all processes on this machine, as `ps` shows them."""

    def __init__(self):
        self.seen = set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        reads = {}
        while not self.ended.is_set():
            processes = {path.name for path in PROCESSES.iterdir() if path.name.isdigit()}
            reads = {process: reads.get(process, 0) + 1 for process in processes}
            for process in (each for each in processes if reads[each] <= READS):
                try:
                    text = (PROCESSES / process / "cmdline").read_text(errors="replace")
                except OSError:
                    continue  # the process has exited
                self.seen.add(text)
            time.sleep(0.05)

    def stop(self):
        self.ended.set()
        self.thread.join()


@pytest.fixture(scope="package")
def command_lines():
    watch = CommandLines()
    yield watch
    watch.stop()


@pytest.fixture(scope="package")
def dev(deploy, charts, account, command_lines):
    """The stack dev, deployed by `make up`."""
    option = {"config": {"api": {"instance_name": INSTANCE_NAME}}}
    stack = deploy("dev", charts, airflow=option, **GIT_IN_CLUSTER)
    stack.pulumi("config", "set", "--secret", "admin_password", stdin=CONFIGURED)
    try:
        stack.up()
        yield stack
    finally:
        account.clear_faults()
        status, output = stack.make("down")
    assert status == 0, output
    assert "All resources were deleted." in output
    assert account.inventory() == [], "`make down` left resources in the account"


@pytest.fixture
def api(dev, cluster):
    with Api.open(cluster) as opened:
        yield opened
