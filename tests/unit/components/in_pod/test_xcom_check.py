"""The check of the image for `airflow.xcom_bucket`."""

import subprocess
import sys

import pytest

from components.in_pod import xcom_check

INSTALLED = {*xcom_check.PACKAGES}


@pytest.fixture
def check(tmp_path):
    """Run the check with these packages; its message for Pulumi, or None."""

    def run(packages, module="", *, has_module=True):
        for name in packages:
            folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if has_module:
            (tmp_path / "s3fs.py").write_text(module)
        reason = tmp_path / "reason"
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, xcom_check.__file__],
            env={"PYTHONPATH": str(tmp_path), "REASON_FILE": str(reason)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert bool(done.returncode) is reason.exists()
        assert "Traceback" not in done.stderr
        return reason.read_text() if reason.exists() else None

    return run


def test_an_image_with_all_packages_is_accepted(check):
    assert check(INSTALLED) is None


@pytest.mark.parametrize("package", sorted(INSTALLED))
def test_a_missing_package_is_named_with_the_way_out(check, package):
    text = check(INSTALLED - {package}, has_module=package != "s3fs")

    assert text.startswith(f"airflow.image: the image lacks the Python package {package}, and ")
    assert text.count("the image lacks") == 1
    assert "docs/dags.md#python-packages" in text


@pytest.mark.parametrize("module", ["import no_such_module", "raise AttributeError('of fsspec')"])
def test_packages_that_do_not_fit_each_other_are_refused(check, module):
    assert "s3fs of the image does not start (" in check(INSTALLED, module)
