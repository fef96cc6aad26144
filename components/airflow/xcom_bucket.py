"""Large XComs in the log bucket: docs/adr/0036-large-xcoms-in-the-bucket.md."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import pulumi

from policies.chart_values import merge, read
from settings import limits

BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
FOLDER = "xcom"
# The weekly clean-up deletes a row up to a week after its retention, later if it fails.
EXTRA_DAYS = 30


def options(bucket: pulumi.Input[str], connection: str) -> dict[str, dict[str, Any]]:
    """Values under `config`. Options of the stack file override them."""
    path = pulumi.Output.concat("s3://", connection, "@", bucket, "/", FOLDER)
    return {
        "core": {"xcom_backend": BACKEND},
        "common.io": {
            "xcom_objectstorage_path": path,
            "xcom_objectstorage_threshold": str(limits.XCOM_BUCKET_BYTES),
        },
    }


def with_options(
    config: dict[str, dict[str, Any]], bucket: pulumi.Input[str], connection: str
) -> dict[str, dict[str, Any]]:
    """Values under `config` of a stack whose large XComs are in the bucket."""
    added = options(bucket, connection)
    return {**config, **{name: {**added[name], **config.get(name, {})} for name in added}}


def retention_days(value_files: Sequence[str]) -> int:
    """Days until an XCom in the bucket expires, after its row; 0: never, as its row."""
    files = [read(f"values/{file}") for file in value_files]
    clean_up: dict[str, Any] = reduce(merge, files)["databaseCleanup"]
    return int(clean_up["retentionDays"]) + EXTRA_DAYS if clean_up["enabled"] else 0
