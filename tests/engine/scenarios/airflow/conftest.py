"""The stack dev with the real charts: Airflow on the "EKS", its database on the "RDS"."""

import threading
import time
from pathlib import Path

import pytest

from tests.engine.account import GIT_INSIDE
from tests.harness.cluster import Api

PROCESSES = Path("/proc")
CONFIGURED = "a-configured-password-of-admin"
# What the stack has from the start and a test takes away.
INSTANCE_NAME = "Set by the stack file"


class CommandLines:
    """Every command line on this machine while it watches: what `ps` would show to others."""

    def __init__(self):
        self.seen = set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self.ended.is_set():
            for process in PROCESSES.glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(process.read_text(errors="replace"))
                except OSError:
                    continue  # it has ended
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
    """The stack dev, installed by `make up` as a person would."""
    option = {"config": {"api": {"instance_name": INSTANCE_NAME}}}
    stack = deploy("dev", charts, airflow=option, **GIT_INSIDE)
    stack.pulumi("config", "set", "--secret", "admin_password", stdin=CONFIGURED)
    try:
        stack.up()
        yield stack
    finally:
        account.heal()
        left = stack.make("down")
    status, said = left
    assert status == 0, said
    assert "Nothing is left." in said
    assert account.inventory() == [], "`make down` leaves nothing in the account"


@pytest.fixture
def api(dev, cluster):
    with Api.open(cluster) as opened:
        yield opened
