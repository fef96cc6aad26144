"""Set-up of .venv; `uv` is a fake that records its commands."""

import sys
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from local import packages
from local.errors import OperationError

IMAGE = "numpy==2.4.0 \\\n    --hash=sha256:1\n    # via pandas\n"
ADDED = "holidays==0.74 \\\n    --hash=sha256:2\n"


class FakeUv:
    def __init__(self, output="", status=0, failing=()):
        self.commands, self._result, self._failing = [], (status, output), failing

    def run(self, *words, **_):
        self.commands.append(words)
        status, output = self._result
        failed = any(word in self._failing for word in words)
        return CompletedProcess(words, status or failed, output, "numpy conflicts")

    def succeeds(self, *words):
        return self.run(*words).returncode == 0


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    (tmp_path / "requirements.lock").write_text(IMAGE)
    (tmp_path / "requirements-image.txt").write_text("# packages\nholidays==0.74 # dates\n")
    (tmp_path / "platform.yaml").write_text('python: "3.12"\n')
    return tmp_path


def lock(root):
    return (root / "requirements-image.lock").read_text()


def venv(root, version):
    (root / ".venv").mkdir()
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion_info = {version}\n")


def test_an_added_package_is_locked_with_its_hash(root):
    packages.resolve(root, FakeUv(IMAGE + ADDED))
    assert lock(root).endswith(ADDED)
    assert "numpy" not in lock(root), "the image's packages keep their versions"


def test_packages_are_resolved_with_those_of_the_image(root):
    uv = FakeUv(ADDED)
    packages.resolve(root, uv)
    (command,) = uv.commands
    assert command[:5] == (
        "pip",
        "compile",
        "requirements-image.txt",
        "--constraint",
        "requirements.lock",
    )
    assert "--generate-hashes" in command
    assert "--exclude-newer" not in command, "an added package may be newer than Airflow"


@pytest.mark.parametrize("changed", ["requirements-image.txt", "requirements.lock"])
def test_a_changed_list_is_resolved_again_and_only_then(root, changed):
    packages.resolve(root, FakeUv(ADDED))
    unused = FakeUv()
    packages.resolve(root, unused)
    assert unused.commands == []
    with (root / changed).open("a") as file:
        file.write("attrs==26.1.0\n")
    assert not packages.is_resolved(root)


def test_a_comment_needs_no_new_resolution(root):
    packages.resolve(root, FakeUv(ADDED))
    (root / "requirements-image.txt").write_text("holidays==0.74\n")
    assert packages.is_resolved(root)


def test_a_conflict_with_the_image_is_explained(root):
    with pytest.raises(OperationError, match="cannot be added to those of the image") as error:
        packages.resolve(root, FakeUv(status=1))
    assert "numpy conflicts" in str(error.value)


def test_a_pipeline_refuses_a_lock_that_was_not_committed(root, monkeypatch):
    packages.resolve(root, FakeUv(ADDED))
    monkeypatch.setenv("CI", "true")
    packages.resolve(root, FakeUv(ADDED))
    (root / "requirements-image.txt").write_text("holidays==0.75\n")
    with pytest.raises(OperationError, match=r"commit requirements-image\.lock"):
        packages.resolve(root, FakeUv(ADDED))


def test_venv_has_the_python_of_the_image(root):
    uv = FakeUv()
    packages.create(root, uv)
    assert uv.commands == [("venv", "--quiet", "--clear", ".venv", "--python", "3.12")]


def test_without_that_python_venv_has_the_python_of_make(root):
    uv = FakeUv(failing=["3.12"])
    packages.create(root, uv)
    assert uv.commands[-1][-1] == sys.executable


def test_venv_is_created_again_for_another_python_of_the_image(root):
    venv(root, "3.11.7")
    uv = FakeUv()
    packages.create(root, uv)
    assert [command[0] for command in uv.commands] == ["python", "venv"]


@pytest.mark.parametrize(("version", "failing"), [("3.12.1", ()), ("3.11.7", ["3.12"])])
def test_venv_is_kept_if_there_is_no_better_python(root, version, failing):
    venv(root, version)
    uv = FakeUv(failing=failing)
    packages.create(root, uv)
    assert [command for command in uv.commands if command[0] == "venv"] == []


def test_both_locks_are_installed_and_nothing_else(root, monkeypatch):
    venv(root, "3.12.1")
    site = root / ".venv" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    uv = FakeUv(ADDED)
    monkeypatch.setattr(packages, "Uv", lambda *_: uv)
    packages.install(root)
    assert uv.commands[-1][:2] == ("pip", "sync"), "a package that was removed disappears"
    assert uv.commands[-1][-3:] == (
        "--require-hashes",
        "requirements.lock",
        "requirements-image.lock",
    )
    assert "local.attach" in (site / "airflow_of_this_folder.pth").read_text()


def test_uv_uses_the_package_index_of_pip(monkeypatch):
    listed = (
        "global.index-url='https://pypi.example.com/simple'\n"
        ":env:.find-links='/opt/wheels /opt/more'\n"
        "global.timeout='60'\n"
    )
    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=listed))
    found = packages.environment(Path("python"))
    assert found["UV_DEFAULT_INDEX"] == "https://pypi.example.com/simple"
    assert found["UV_FIND_LINKS"] == "/opt/wheels,/opt/more"
    assert found["UV_SYSTEM_CERTS"] == "1"
