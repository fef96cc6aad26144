"""Program of the Job in components/airflow/xcom_check.py: packages that `airflow.xcom_bucket` needs."""

import importlib
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REASON = "/dev/termination-log"  # Pulumi shows its content
PACKAGES = (
    "s3fs",
    # The official image has the others; another may lack them. Without aiobotocore, pip installs a
    # release of s3fs from 2020.
    "aiobotocore",
    "apache-airflow-providers-amazon",
    "apache-airflow-providers-common-io",
)


def main() -> None:
    if found := [*missing(), *broken()]:
        text = (
            f"airflow.image: {', '.join(found)}, and airflow.xcom_bucket needs it; add the package to the "
            "image (docs/dags.md#python-packages), or remove airflow.xcom_bucket"
        )
        Path(os.environ.get("REASON_FILE", REASON)).write_text(text)
        sys.exit(text)


def missing() -> list[str]:
    found: list[str] = []
    for package in PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            found.append(f"the image lacks the Python package {package}")
    return found


def broken() -> list[str]:
    """A version of s3fs that does not fit the image fails at its import."""
    try:
        importlib.import_module("s3fs")
    except ModuleNotFoundError as error:
        if error.name == "s3fs":
            return []
        return [f"s3fs of the image does not start ({error})"]
    except Exception as error:  # any error of another package
        return [f"s3fs of the image does not start ({error})"]
    return []


if __name__ == "__main__":
    main()
