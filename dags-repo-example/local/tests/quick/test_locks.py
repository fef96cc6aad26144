"""Both lock files are installed into one .venv."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def pins(path):
    return dict(PIN.findall((ROOT / path).read_text()))


def test_local_lock_contains_the_pins_of_the_test_lock():
    tests, airflow = pins("requirements.lock"), pins("local/requirements.lock")
    assert len(tests) > 100
    assert {name: airflow.get(name) for name in tests} == tests


def test_packages_have_hashes_and_no_index_is_set():
    text = (ROOT / "local/requirements.lock").read_text()
    assert text.count("\n    --hash=sha256:") >= len(pins("local/requirements.lock"))
    assert "://" not in text
    assert "--find-links" not in text
    assert "--index" not in text


def test_celery_is_compatible_with_airflow():
    assert pins("local/requirements.lock")["celery"].startswith("5.6.")
