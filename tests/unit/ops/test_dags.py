"""`make dags` on a fake cluster."""

import json
import subprocess
import sys

import yaml

from ops import dags
from tests.unit.components.in_pod.test_dag_relay_publish import git
from tests.unit.ops.fake_platform import KUBECTL, SETTINGS

HEAD = "0123abc\t2026-11-28T20:57:01+00:00\tAdd a report\n"
REASON = "commit 89ab is not published, the last good one stays: it has no folder dags"
ERROR = {"Msg": "error syncing repo, will retry", "Err": "Authentication failed\n", "Args": {}}


def row(head=HEAD, rejected="", error=""):
    return {"head": head, "rejected": rejected, "error": error}


def with_repositories(platform, *names):
    content = yaml.safe_load(platform.file.read_text())
    content["config"][SETTINGS].pop("git_server")
    content["config"][SETTINGS]["dags"] = {
        "repo": "https://git.example.com/first.git",
        "repositories": {name: {"repo": f"https://git.example.com/{name}.git"} for name in names},
    }
    platform.file.write_text(yaml.safe_dump(content))


def test_each_repository_has_a_line_and_each_problem_a_reason(platform, operate):
    with_repositories(platform, "late", "sales")
    rejected = row(rejected=f"{REASON}\n", error=json.dumps(ERROR))
    platform.answer("relay", [row(), row(head="", error=json.dumps(ERROR)), rejected])

    status, output = operate("dags")

    assert status == 0, output
    assert output.splitlines() == [
        "repository  published  committed                  subject",
        "dags.repo   0123abc    2026-11-28T20:57:01+00:00  Add a report",
        "late        -          -                          no commit is published yet",
        "sales       0123abc    2026-11-28T20:57:01+00:00  Add a report",
        "! late: the last fetch failed: error syncing repo, will retry: Authentication failed",
        f"! sales: {REASON}",
    ]


def test_an_unknown_error_of_git_sync_is_shown_as_it_is(platform, operate):
    platform.answer("relay", [row(error="not\njson")])

    assert operate("dags")[1].endswith("! dags.repo: the last fetch failed: not json\n")


def test_a_relay_without_an_answer_is_reported(platform, operate):
    platform.fail("--container dag-relay")

    status, output = operate("dags")
    assert status == 1
    assert "the DAG relay gives no answer: no. See docs/runbooks/dag-delivery.md" in output


def test_the_files_of_the_relay_are_read(platform, operate, tmp_path):
    platform.answer("relay", [row()])
    operate("dags")
    (call,) = [line for line in platform.calls() if line.startswith(f"{KUBECTL} exec")]
    assert "--namespace airflow dag-relay-0 --container dag-relay -- python -c" in call

    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=dags", "dags.git")
    repository = tmp_path / "dags.git"
    tree = git(repository, "hash-object", "-w", "-t", "tree", "/dev/null")
    git(
        repository,
        "update-ref",
        "refs/heads/dags",
        git(repository, "commit-tree", tree, "-m", "A\tb"),
    )
    (tmp_path / "rejected").write_text("why")
    paths = [repository, tmp_path / "rejected", tmp_path / "no file"]
    command = [sys.executable, "-c", dags.READ, *paths]
    ran = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own script

    (found,) = json.loads(ran.stdout)
    delivery = dags.Delivery(repository="dags.repo", **found)
    assert delivery.row[3] == "A\tb"
    assert (delivery.problem, found["error"]) == ("why", "")
