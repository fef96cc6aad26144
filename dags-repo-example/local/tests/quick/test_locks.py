"""One list of packages: the checks, the tests, `make airflow`, Compose and the image."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from local import packages

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", LOCK, re.MULTILINE))
# Providers of the official image: AIRFLOW_EXTRAS in
# https://github.com/apache/airflow/blob/3.3.2/Dockerfile and those that Airflow always has.
PROVIDERS = [
    "amazon",
    "celery",
    "cncf-kubernetes",
    "common-compat",
    "common-io",
    "common-messaging",
    "common-sql",
    "docker",
    "elasticsearch",
    "fab",
    "ftp",
    "git",
    "google",
    "grpc",
    "hashicorp",
    "http",
    "microsoft-azure",
    "mysql",
    "odbc",
    "openlineage",
    "postgres",
    "redis",
    "sendgrid",
    "sftp",
    "slack",
    "smtp",
    "snowflake",
    "ssh",
    "standard",
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_providers_of_the_image_can_be_imported(provider):
    assert f"apache-airflow-providers-{provider}" in PINS
    assert find_spec(f"airflow.providers.{provider.replace('-', '.')}")


def test_packages_have_hashes_and_no_index_is_set():
    assert len(PINS) > 400
    for text in (LOCK, (ROOT / "requirements-image.lock").read_text()):
        for block in packages.BLOCK.finditer(text):
            assert "--hash=sha256:" in block[0], block["name"]
        assert "://" not in text
        assert "--find-links" not in text
        assert "--index" not in text


def test_only_packages_without_wheels_are_left_out():
    excluded = LOCK[LOCK.index("# The following packages were excluded") :].split("\n# ")[1:]
    assert [name.strip() for name in excluded] == ["mysqlclient", "python-ldap"]
    from airflow.providers.mysql.hooks.mysql import MySqlHook  # imports its driver when it connects

    assert MySqlHook


def test_celery_is_compatible_with_airflow():
    assert PINS["celery"].startswith("5.6.")
