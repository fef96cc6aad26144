"""Runs checkov and cfn-lint, which have an environment of their own in tests/scan/.venv."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ops.plan.fake_cloud import REGION
from tests.scan.excuses import Finding

BIN = Path(__file__).parent / ".venv" / "bin"
SECONDS = 600
# Resources with mistakes that the scanners must find: a scanner that finds nothing is broken.
PLANTED_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "planted", "namespace": "planted"},
    "spec": {
        "containers": [{"name": "c", "image": "redis", "securityContext": {"privileged": True}}]
    },
}
PLANTED_BUCKET = {
    "Type": "AWS::S3::Bucket",
    "Properties": {"AccessControl": "PublicRead", "NoSuchProperty": True},
}
PLANTED = {
    ("checkov", "CKV_K8S_16", "Pod.planted.planted"),
    ("checkov", "CKV_AWS_20", "AWS::S3::Bucket.Planted"),
    ("cfn-lint", "E3002", "Planted"),
}


class Broken(RuntimeError):
    """A scanner did not run, or did not find what was planted."""


def scan(stack: str, objects: list[dict[str, Any]], template: dict[str, Any], folder: Path) -> Any:
    """All findings in the objects and the template of a stack."""
    manifests, resources = folder / "manifests.yaml", folder / "template.json"
    manifests.write_text(yaml.safe_dump_all([*objects, PLANTED_POD]))
    planted = {**template["Resources"], "Planted": PLANTED_BUCKET}
    resources.write_text(json.dumps({**template, "Resources": planted}, indent=1))
    found = [*_checkov(folder, stack), *_cfn_lint(resources, stack)]
    missing = PLANTED - {(f.tool, f.check, f.resource) for f in found}
    if missing:
        raise Broken(f"the scanners did not find what was planted: {sorted(missing)}")
    names = {resource for _, _, resource in PLANTED}
    return [f for f in found if f.resource not in names]


def _checkov(folder: Path, stack: str) -> list[Finding]:
    words = ["--directory", str(folder), "--framework", "kubernetes", "cloudformation"]
    # Offline: otherwise it downloads descriptions of the checks.
    words += ["--output", "json", "--compact", "--quiet", "--skip-download"]
    reports = _run(folder, "checkov", *words)
    return [
        Finding(
            tool="checkov",
            check=row["check_id"],
            resource=row["resource"],
            what=row["check_name"],
            stack=stack,
        )
        for report in reports
        for row in report["results"]["failed_checks"]
    ]


def _cfn_lint(file: Path, stack: str) -> list[Finding]:
    words = [str(file), "--format", "json", "--regions", REGION]
    output = _run(file.parent, "cfn-lint", *words)
    return [
        Finding(
            tool="cfn-lint",
            check=row["Rule"]["Id"],
            resource=str((row["Location"]["Path"] or ["", "template"])[1]),
            what=row["Message"],
            stack=stack,
        )
        for row in output
    ]


def _run(folder: Path, tool: str, *words: str) -> Any:
    """The report of a tool, without the configuration, keys and skipped checks of the user."""
    try:
        done = subprocess.run(
            [BIN / tool, *words],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return json.loads(done.stdout)
    except FileNotFoundError:
        raise Broken(f"{BIN / tool} is missing; run `make scan`") from None
    except json.JSONDecodeError:
        raise Broken(
            f"{tool} printed no report: {done.stdout[-500:]}{done.stderr[-500:]}"
        ) from None
