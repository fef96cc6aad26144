import os
import re
import stat

import pytest

from local import env_file
from local.errors import OperationError


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".env"


def test_only_the_owner_can_read_the_file(tmp_path, path):
    env_file.ensure(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_permissions_of_an_existing_file_are_restricted(tmp_path, path):
    env_file.ensure(tmp_path)
    path.chmod(0o644)
    env_file.ensure(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_existing_content_is_kept(tmp_path, path):
    path.write_text("# mine\nPOSTGRES_PASSWORD=chosen\nAIRFLOW_PORT=8081\n")
    first = env_file.ensure(tmp_path)
    text = path.read_text()
    assert first["POSTGRES_PASSWORD"] == "chosen"
    assert text.startswith("# mine\nPOSTGRES_PASSWORD=chosen\nAIRFLOW_PORT=8081\n")
    assert env_file.ensure(tmp_path) == first
    assert path.read_text() == text


def test_complete_file_is_not_rewritten(tmp_path, path):
    env_file.ensure(tmp_path)
    os.utime(path, (1, 1))
    env_file.ensure(tmp_path)
    assert path.stat().st_mtime == 1, (
        "a newer mtime makes `make airflow` reset the password of admin"
    )


def test_each_copy_generates_its_own_secrets(tmp_path):
    copies = [tmp_path / "one", tmp_path / "two"]
    for copy in copies:
        copy.mkdir()
    one, two = map(env_file.ensure, copies)
    assert {key for key in one if one[key] == two[key]} == {"AIRFLOW_UID"}


def test_passwords_need_no_url_escaping(tmp_path):
    values = env_file.ensure(tmp_path)
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert re.fullmatch(r"[A-Za-z0-9_-]{32,}", values[name])


def test_fernet_key_is_valid(tmp_path):
    from cryptography.fernet import Fernet

    Fernet(env_file.ensure(tmp_path)["FERNET_KEY"])


@pytest.mark.parametrize(("uid", "expected"), [(1000, "1000"), (0, "50000")])
def test_uid_is_the_users_or_the_images_for_root(tmp_path, monkeypatch, uid, expected):
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert env_file.ensure(tmp_path)["AIRFLOW_UID"] == expected


def test_all_invalid_values_are_reported_without_secrets(tmp_path, path):
    path.write_text("POSTGRES_PASSWORD=p@ss/word\nFERNET_KEY=tooshort\nAIRFLOW_UID=me\n")
    with pytest.raises(OperationError) as error:
        env_file.ensure(tmp_path)
    text = str(error.value)
    assert text.startswith(f"{path}:\n")
    assert "POSTGRES_PASSWORD may contain only letters, digits" in text
    assert "FERNET_KEY must be 32 bytes" in text
    assert "AIRFLOW_UID must be a number" in text
    assert "p@ss" not in text
    assert "tooshort" not in text


def test_logs_folder_is_created_writable_for_its_group(tmp_path):
    env_file.prepare_folders(tmp_path)
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) & 0o070 == 0o070
