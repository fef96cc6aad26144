import os
import re
import stat

import pytest

from local import env_file
from local.problem import Problem


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".env"


def test_only_its_owner_can_read_it(tmp_path, path):
    env_file.ensure(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path, path):
    env_file.ensure(tmp_path)
    path.chmod(0o644)
    env_file.ensure(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays(tmp_path, path):
    path.write_text("# mine\nPOSTGRES_PASSWORD=chosen\nAIRFLOW_PORT=8081\n")
    first = env_file.ensure(tmp_path)
    text = path.read_text()
    assert first["POSTGRES_PASSWORD"] == "chosen"
    assert text.startswith("# mine\nPOSTGRES_PASSWORD=chosen\nAIRFLOW_PORT=8081\n")
    assert env_file.ensure(tmp_path) == first
    assert path.read_text() == text


def test_a_file_that_lacks_nothing_is_not_written(tmp_path, path):
    env_file.ensure(tmp_path)
    os.utime(path, (1, 1))
    env_file.ensure(tmp_path)
    assert path.stat().st_mtime == 1, "a newer file means that the password of admin may be new"


def test_every_copy_has_secrets_of_its_own(tmp_path):
    copies = [tmp_path / "one", tmp_path / "two"]
    for copy in copies:
        copy.mkdir()
    one, two = map(env_file.ensure, copies)
    assert {key for key in one if one[key] == two[key]} == {"AIRFLOW_UID"}


def test_passwords_need_no_escape_in_a_url(tmp_path):
    values = env_file.ensure(tmp_path)
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert re.fullmatch(r"[A-Za-z0-9_-]{32,}", values[name])


def test_airflow_accepts_the_fernet_key(tmp_path):
    from cryptography.fernet import Fernet

    Fernet(env_file.ensure(tmp_path)["FERNET_KEY"])


@pytest.mark.parametrize(("uid", "written"), [(1000, "1000"), (0, "50000")])
def test_containers_write_as_you_or_as_the_user_of_the_image(tmp_path, monkeypatch, uid, written):
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert env_file.ensure(tmp_path)["AIRFLOW_UID"] == written


def test_all_mistakes_are_told_at_once_without_the_secrets(tmp_path, path):
    path.write_text("POSTGRES_PASSWORD=p@ss/word\nFERNET_KEY=tooshort\nAIRFLOW_UID=me\n")
    with pytest.raises(Problem) as found:
        env_file.ensure(tmp_path)
    text = str(found.value)
    assert text.startswith(f"{path}:\n")
    assert "POSTGRES_PASSWORD may only hold letters, digits" in text
    assert "FERNET_KEY must be 32 bytes" in text
    assert "AIRFLOW_UID must be a number" in text
    assert "p@ss" not in text
    assert "tooshort" not in text


def test_the_folder_of_logs_is_there_before_docker_makes_it_as_root(tmp_path):
    env_file.prepare_folders(tmp_path)
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) & 0o070 == 0o070
