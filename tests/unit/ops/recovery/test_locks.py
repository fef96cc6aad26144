"""Stale locks of a backend in a directory."""

import json
import os
import subprocess
import sys

import pytest

from ops.recovery import locks
from ops.recovery.locks import release_stale_lock
from ops.shell import OperationError
from ops.stack import open_stack

UNUSED_PID = 2**22 + 1  # above the maximum process ID of Linux and macOS


@pytest.fixture
def locked(checkout, tools):
    """Open the stack while a command holds its lock."""

    def opened(*, name="local", **lock):
        stack = open_stack("local", in_checkout=True)
        folder = checkout / ".state" / ".pulumi" / "locks" / "organization" / "platform" / name
        folder.mkdir(parents=True)
        content = {
            "pid": UNUSED_PID,
            "username": "ann",
            "hostname": os.uname().nodename,
            "timestamp": "2026-11-24T07:00:00.123Z",
            **lock,
        }
        (folder / "1.json").write_text(json.dumps(content))
        tools("pulumi", "")
        return stack

    return opened


def test_the_lock_of_a_dead_process_is_removed(locked, tools, checkout):
    assert release_stale_lock(locked()) is True
    assert tools.calls() == [f"pulumi --cwd {checkout} cancel --yes --stack local"]


@pytest.mark.parametrize(
    "lock", [{"pid": os.getpid()}, {"hostname": "elsewhere"}], ids=["running", "another machine"]
)
def test_the_lock_of_a_running_command_is_kept(locked, tools, lock):
    stack = locked(**lock)

    with pytest.raises(
        OperationError,
        match=r"'local' is locked by process \d+ of ann@.* since 2026-11-24T07:00:00\. Wait",
    ):
        release_stale_lock(stack)
    assert tools.calls() == []


def test_the_lock_of_another_users_process_is_kept(locked, tools, monkeypatch):
    def forbidden(pid, signal):
        raise PermissionError

    stack = locked()
    monkeypatch.setattr(os, "kill", forbidden)
    with pytest.raises(OperationError, match="stack 'local' is locked by process"):
        release_stale_lock(stack)


def test_locks_of_other_stacks_are_ignored(locked, tools):
    assert release_stale_lock(locked(name="dev", pid=os.getpid())) is False
    assert tools.calls() == []


def test_locks_of_other_backends_are_not_read(checkout, tools, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")

    assert release_stale_lock(open_stack("local", in_checkout=True)) is False
    assert tools.calls() == []


def test_the_lock_of_a_zombie_is_stale():
    killed = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not locks._is_running(killed.pid), "`make up` would wait for a zombie"
    finally:
        killed.wait()
