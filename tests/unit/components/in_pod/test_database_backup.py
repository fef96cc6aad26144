"""The nightly job on a folder, with a program that stands for pg_dump."""

import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from components.kubernetes.database_backup import SCRIPT

DAY = 24 * 3600
# Writes the file of `--file=<name>`, as pg_dump does.
WRITE = 'for word; do case $word in --file=*) echo dumped > "${word#--file=}" ;; esac; done'


@pytest.fixture
def job(tmp_path):
    """Runs the job with a retention of 7 days; `pg_dump` is the text of a shell script."""
    dumps, programs = tmp_path / "dumps", tmp_path / "bin"
    dumps.mkdir()
    programs.mkdir()

    def start(pg_dump=WRITE, days=7, pg_isready="exit 0"):
        for name, script in {
            "pg_dump": pg_dump,
            "pg_isready": pg_isready,
            "sleep": f"echo sleep >> {tmp_path / 'calls'}",
        }.items():
            program = programs / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        env = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "BACKUP_DAYS": str(days),
            "DUMP_PREFIX": "local-3-3-2",
        }
        return subprocess.Popen(  # noqa: S603 - fixed arguments
            ["sh", "-c", SCRIPT.read_text()],  # noqa: S607
            cwd=dumps,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(*args, **kwargs):
        process = start(*args, **kwargs)
        out, err = process.communicate(timeout=30)
        return SimpleNamespace(code=process.returncode, out=out, err=err)

    def keep(name, days):
        """A file that is so many days old."""
        file = dumps / name
        file.touch()
        made = time.time() - days * DAY
        os.utime(file, (made, made))
        return file

    def names():
        return sorted(path.name for path in dumps.iterdir())

    calls = tmp_path / "calls"
    return SimpleNamespace(start=start, run=run, keep=keep, names=names, dumps=dumps, calls=calls)


def test_a_dump_has_its_stack_version_and_time_in_its_name(job):
    done = job.run()

    assert (done.code, done.err) == (0, "")
    (file,) = job.dumps.glob("local-3-3-2-20??????-??????.dump")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("dumped\n", 0o600)
    assert file.name in done.out, "the log names it"


def test_the_job_waits_until_it_is_admitted(job):
    """A NetworkPolicy admits a new pod after some seconds; until then connections are refused."""
    job.calls.touch()

    done = job.run(pg_isready=f"[ $(wc -l < {job.calls}) = 2 ]")

    assert done.code == 0
    assert len(job.calls.read_text().splitlines()) == 2
    assert len(list(job.dumps.glob("*.dump"))) == 1


def test_a_job_without_a_database_fails_with_the_reason(job):
    done = job.run(pg_dump="echo no connection >&2; exit 1", pg_isready="exit 2")

    assert (done.code, done.err) == (1, "no connection\n")
    assert len(job.calls.read_text().splitlines()) == 30
    assert job.names() == []


def test_older_dumps_are_deleted(job):
    for name, days in (("a.dump", 9), ("b.dump", 7.1), ("c.dump", 6.9), ("d.dump", 1)):
        job.keep(name, days)
    job.keep("notes.txt", 9)

    done = job.run()

    assert done.code == 0
    *kept, new = [name for name in job.names() if name.endswith(".dump")]
    assert (kept, new[:12]) == (["c.dump", "d.dump"], "local-3-3-2-")
    assert "notes.txt" in job.names(), "only dumps are deleted"
    assert "a.dump" in done.out


def test_the_newest_dump_is_never_deleted(job):
    """Also if no dump has succeeded for longer than the retention."""
    job.keep("older.dump", 31)
    job.keep("newest.dump", 30)

    done = job.run("echo refused >&2; exit 1")

    assert done.code != 0
    assert job.names() == ["newest.dump"]
    assert "refused" in done.err


def test_a_failed_dump_does_not_count(job):
    done = job.run(f"{WRITE}; exit 1")

    assert done.code != 0
    assert [name for name in job.names() if name.endswith(".dump")] == []


def test_a_killed_job_leaves_no_half_dump(job):
    process = job.start(f"{WRITE}; echo written; exec /bin/sleep 60")
    assert process.stdout.readline() == "written\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    (half,) = job.names()
    assert half.endswith(".part")
    # Not the name of the next one, which begins in the same second.
    (job.dumps / half).rename(job.dumps / "local-3-3-2-20261128-020000.part")

    assert job.run().code == 0

    (whole,) = job.names()
    assert whole.endswith(".dump"), "the next job deletes the half one"


def test_a_folder_of_the_file_system_is_left_alone(job):
    """`lost+found` of a new volume is readable by root only."""
    folder = job.dumps / "lost+found"
    folder.mkdir()
    inside = job.keep("lost+found/found.dump", 9)
    folder.chmod(0)
    try:
        assert job.run().code == 0
    finally:
        folder.chmod(0o700)
    assert inside.exists()
