"""Both locks go into one .venv, and stand for one platform."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def pins(path):
    return dict(PIN.findall((ROOT / path).read_text()))


def test_airflow_runs_with_what_the_tests_run_with():
    tests, airflow = pins("requirements.lock"), pins("local/requirements.lock")
    assert len(tests) > 100
    assert {name: airflow.get(name) for name in tests} == tests


def test_every_package_is_fixed_by_a_hash_and_no_index_is_named():
    text = (ROOT / "local/requirements.lock").read_text()
    assert text.count("\n    --hash=sha256:") >= len(pins("local/requirements.lock"))
    assert "://" not in text
    assert "--find-links" not in text
    assert "--index" not in text


def test_nothing_that_would_not_start_with_this_airflow_got_in():
    assert pins("local/requirements.lock")["celery"].startswith("5.6.")
