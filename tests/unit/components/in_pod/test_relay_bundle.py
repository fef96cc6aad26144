"""The bundle class, on a stand-in of Airflow's; tests/cluster/versions uses the real one."""

import sys
from contextlib import nullcontext
from types import ModuleType

import pytest


class AirflowException(Exception):
    pass


class GitDagBundle:
    """Checks a version out, unless it is killed or the repository is damaged."""

    def __init__(self, folder, version=None):
        self.name, self.repo_url, self.version = "dags", "dags", version
        self.bare_repo_path = folder / "bare"
        self.versions_dir = folder / "versions"
        self.repo_path = self.versions_dir / version if version else folder / "tracking_repo"
        self.killed = False

    def lock(self):
        return nullcontext()

    def initialize(self):
        self._initialize()

    def _initialize(self):
        if (self.bare_repo_path / "damaged").exists() or (self.repo_path / "damaged").exists():
            raise ValueError("damaged by a kill")
        self.repo_path.mkdir(parents=True)
        (self.repo_path / "first.py").touch()
        if self.killed:
            raise KeyboardInterrupt
        (self.repo_path / "second.py").touch()


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "components.in_pod.relay_bundle", raising=False)
    for name in ("airflow.providers.common.compat.sdk", "airflow.providers.git.bundles.git"):
        module = ModuleType(name)
        module.AirflowException, module.GitDagBundle = AirflowException, GitDagBundle
        monkeypatch.setitem(sys.modules, name, module)
        while "." in name:
            name = name.rpartition(".")[0]
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    from components.in_pod.relay_bundle import RelayBundle

    return lambda version=None: RelayBundle(tmp_path, version)


def files(bundle):
    return sorted(file.name for file in bundle.repo_path.iterdir())


def test_a_killed_checkout_is_started_again(bundle):
    killed = bundle("abc")
    killed.killed = True
    with pytest.raises(KeyboardInterrupt):
        killed.initialize()
    assert not killed.repo_path.exists(), "a checkout gets its name when it is complete"

    again = bundle("abc")
    again.initialize()
    assert files(again) == ["first.py", "second.py"]
    assert list(again.versions_dir.iterdir()) == [again.repo_path], "nothing is left of the first"


def test_a_complete_checkout_is_used_again(bundle):
    bundle("abc").initialize()
    again = bundle("abc")
    (again.repo_path / "second.py").unlink()
    again.initialize()

    assert files(again) == ["first.py"], "each task would clone"


@pytest.mark.parametrize("version", ["abc", None])
@pytest.mark.parametrize("folder", ["bare", "tracking_repo"])
def test_a_damaged_clone_is_made_again(bundle, tmp_path, version, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "damaged").touch()
    found = bundle(version)
    found.initialize()

    assert files(found) == ["first.py", "second.py"]


def test_a_dag_processor_survives_a_missing_repository(bundle, monkeypatch):
    def missing(_):
        raise RuntimeError("Error cloning repository")

    monkeypatch.setattr(GitDagBundle, "_initialize", missing)
    with pytest.raises(AirflowException, match="bundle dags of dags: Error cloning repository"):
        bundle().initialize()
