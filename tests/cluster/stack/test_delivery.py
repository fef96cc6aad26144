"""Delivery of pushed commits to the relay, the pods and Airflow's API."""

import hashlib
import hmac
import os
import time
import urllib.error
import urllib.request

import pytest

from tests.harness import dags
from tests.harness.airflow_api import Api
from tests.harness.git_host import HTTPS
from tests.harness.waiting import wait_for

PATH = "public/flow.git"
PLUGIN = """
from airflow.plugins_manager import AirflowPlugin

def version():
    return "{version}"

class Pushed(AirflowPlugin):
    name = "pushed"
    macros = (version,)
"""
# Available to templates as `macros.pushed.version()`.
CALL_MACRO = """from airflow.sdk import get_current_context
        return get_current_context()["macros"].pushed.version()"""


KILLED = "import os\nfrom airflow.sdk import dag\nos._exit(3)\n"


def dag(name, version="one"):
    return {f"dags/{name}.py": dags.source(name, version)}


@pytest.fixture(scope="module")
def followed(follow, git_host):
    git_host.create(PATH)
    git_host.commit(PATH, dag("steady"))
    return follow(PATH)


@pytest.fixture
def clone(followed, git_host):
    with git_host.clone(PATH) as cloned:
        yield cloned


def version_of(api, name):
    found = api.live(name)
    return found and [tag["name"] for tag in found["tags"]]


def listed(api):
    return {dag["dag_id"] for dag in api.get("dags?limit=500")["dags"]}


def appears(api, name, version="one"):
    wait_for(f"version {version} of {name}", lambda: version_of(api, name) == [version])


def import_errors(api):
    return {e["filename"]: e["stack_trace"] for e in api.get("importErrors")["import_errors"]}


def test_a_pushed_dag_is_added_changed_and_removed(clone, api):
    clone.push(dag("visitor"))
    appears(api, "visitor")
    clone.push(dag("visitor", "two"))
    appears(api, "visitor", "two")
    clone.push({"dags/visitor.py": None})
    wait_for("removal of visitor", lambda: "visitor" not in listed(api))


def test_a_changed_module_reaches_the_dags_that_import_it(clone, api):
    tag = "from _tag import TAG\n" + dags.source("tagged", tags="[TAG]")
    clone.push({"dags/tagged.py": tag, "dags/_tag.py": 'TAG = "one"\n'})
    appears(api, "tagged")
    begin = time.monotonic()
    clone.push({"dags/_tag.py": 'TAG = "two"\n'})
    appears(api, "tagged", "two")
    clone.push({"dags/_tag.py": None})
    wait_for("the error", lambda: "tagged.py" in import_errors(api))
    assert time.monotonic() - begin < 60, "Airflow parses unchanged files every 300 s"
    clone.push({"dags/tagged.py": None})


def test_tasks_use_the_macros_of_the_last_push(clone, api):
    def push(version):
        dag = {"dags/calls.py": dags.source("calls", version, work=CALL_MACRO)}
        clone.push({"plugins/pushed.py": PLUGIN.format(version=version), **dag})
        appears(api, "calls", version)

    def answer():
        run = api.run("calls")
        assert run["state"] == "success", "the task failed: the macro is missing"
        return api.returned("calls", run["dag_run_id"], "answer")

    push("one")
    assert answer() == "one"
    push("two")
    # The DAG processor has the commit; the worker's checkout may lag behind.
    wait_for("the changed macro", lambda: answer() == "two")
    clone.push({"plugins/pushed.py": None, "dags/calls.py": None})


def test_the_last_of_two_quick_pushes_wins(clone, api, relay):
    clone.push(dag("hasty", "first"))
    last = clone.push(dag("hasty", "second"))

    relay.wait_published(last)
    appears(api, "hasty", "second")


def test_a_syntax_error_is_reported_and_affects_one_file(clone, api):
    broken = "from airflow.sdk import dag\n\n@dag(schedule=None)\ndef broken()\n    pass\n"
    clone.push({"dags/broken.py": broken, **dag("steady", "next to an error")})
    appears(api, "steady", "next to an error")

    wait_for("the error", lambda: "broken.py" in import_errors(api))
    assert 'broken.py", line 4' in import_errors(api)["broken.py"]
    assert "expected ':'" in import_errors(api)["broken.py"]

    clone.push({"dags/broken.py": broken.replace("broken()", "broken():") + "broken()\n"})
    wait_for("no error", lambda: "broken.py" not in import_errors(api))
    assert "broken" in listed(api)
    clone.push({"dags/broken.py": None})


def test_a_killed_parser_is_reported_with_its_reason(clone, api):
    clone.push({"dags/killed.py": KILLED, **dag("beside_killed")})
    appears(api, "beside_killed")

    wait_for("the error", lambda: "killed.py" in import_errors(api))
    assert "its parser ended with exit code 3" in import_errors(api)["killed.py"]
    clone.push({"dags/killed.py": None})
    wait_for("no error", lambda: "killed.py" not in import_errors(api))


def test_a_dag_that_hangs_at_import_delays_no_other(clone, api):
    clone.push({"dags/hangs.py": "# airflow dag\nimport time\n\ntime.sleep(600)\n"})
    clone.push(dag("steady", "next to a hanging file"))

    appears(api, "steady", "next to a hanging file")
    wait_for("its error", lambda: "hangs.py" in import_errors(api))
    assert "timeout" in import_errors(api)["hangs.py"].lower()
    clone.push({"dags/hangs.py": None})


def test_a_forced_push_is_delivered(clone, api, relay):
    clone.push(dag("rewritten", "before"))
    appears(api, "rewritten", "before")

    commit = clone.commit(dag("rewritten", "after"), "--amend")
    clone.git("push", "--quiet", "--force", "origin", "HEAD:main")

    relay.wait_published(commit)
    appears(api, "rewritten", "after")


def test_a_deleted_branch_keeps_the_last_good_dags(clone, api, relay):
    good = relay.published()
    clone.git("push", "--quiet", "origin", "HEAD:refs/heads/kept", ":main")

    relay.wait_errors()
    assert relay.published() == good
    assert "steady" in listed(api)

    clone.git("push", "--quiet", "origin", "HEAD:main")
    relay.wait_published(clone.push(dag("steady", "with the restored branch")))


def test_a_commit_without_the_dags_folder_is_rejected(clone, api, relay):
    good = relay.published()
    clone.git("mv", "dags", "dag")
    clone.push({})

    relay.wait_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    assert "it has no folder dags (dags.sub_path)" in relay.log()
    assert "steady" in listed(api)

    clone.git("mv", "dag", "dags")
    relay.wait_published(clone.push({}))


def test_a_commit_above_the_size_limit_is_rejected(clone, api, relay):
    good = relay.published()
    with (clone.folder / "dags" / "huge.bin").open("wb") as file:
        file.truncate(200 * 2**20)
    clone.push({})

    relay.wait_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    assert "its files are 201 MiB together, and dags.max_mb is 100" in relay.log()
    assert "steady" in listed(api)

    relay.wait_published(clone.push({"dags/huge.bin": None}))


def test_a_looping_link_stops_no_other_push(clone, api, relay, cluster):
    good = relay.published()
    before = restarts(cluster, "component=dag-processor")
    (clone.folder / "dags" / "above").symlink_to("..")
    clone.push(dag("steady", "with a loop"))

    relay.wait_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    reason = "dags/above: the link to .. leads Airflow to the folder dags a second time"
    assert reason in relay.log()
    assert reason in relay.rejected()

    # The history still has the link.
    clone.push({"dags/above": None})
    appears(api, "steady", "with a loop")
    assert relay.rejected() == ""
    assert restarts(cluster, "component=dag-processor") == before


def test_a_large_file_in_the_history_delays_no_push(clone, api, relay, cluster):
    good = relay.published()
    before = restarts(cluster, "app.kubernetes.io/name=dag-relay")
    (clone.folder / "data.bin").write_bytes(os.urandom(90 * 2**20))
    clone.push({})
    relay.wait_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    assert "data.bin: the file has 90 MiB, and dags.max_file_mb is 50" in relay.log()

    relay.wait_published(clone.push({"data.bin": None, **dag("steady", "after a large file")}))
    appears(api, "steady", "after a large file")
    after = restarts(cluster, "app.kubernetes.io/name=dag-relay")
    assert after == before, "a container ran out of memory"


def test_a_running_task_succeeds_when_its_file_is_deleted(clone, api):
    clone.push({"dags/slow.py": dags.source("slow", work="import time; time.sleep(15)")})
    appears(api, "slow")
    run = api.start("slow")
    wait_for("its task", lambda: api.state_of("slow", run, "answer") == "running")

    clone.push({"dags/slow.py": None})
    wait_for("removal of slow", lambda: "slow" not in listed(api))

    # The task, not the run: Airflow schedules no further tasks of a removed DAG.
    wait_for("its end", lambda: api.state_of("slow", run, "answer") == "success")


# Ten minutes exceed every cache.
@pytest.mark.parametrize("seconds", [0, pytest.param(600, marks=pytest.mark.slow)])
def test_an_outage_of_the_git_host_keeps_the_last_good_commit(
    clone, git_host, cluster, api, relay, seconds
):
    good = clone.push(dag("steady", "before the outage"))
    relay.wait_published(good)
    appears(api, "steady", "before the outage")
    git_host.behave(down=True)
    try:
        time.sleep(seconds)
        # The relay restarts too, with nothing but its volume.
        cluster.kubectl("-n", "airflow", "delete", "pod", "dag-relay-0", "--grace-period=0")
        workers = set(cluster.pods("worker"))
        cluster.kubectl("-n", "airflow", "delete", "pod", *workers)
        wait_for("a new worker", lambda: cluster.ready("worker") - workers, seconds=180)
        relay.wait_errors()

        assert relay.published() == good
        assert api.run("steady")["state"] == "success", "the new worker lacks the last good commit"
    finally:
        git_host.behave()

    relay.wait_published(clone.push(dag("steady", "after the outage")))
    appears(api, "steady", "after the outage")


def test_a_slow_git_host_only_delays_delivery(clone, git_host, api):
    git_host.behave(delay_seconds=3)
    try:
        clone.push(dag("steady", "through a slow host"))
        appears(api, "steady", "through a slow host")
    finally:
        git_host.behave()


def test_only_the_relay_polls_the_git_host(clone, git_host, cluster):
    git_host.forget_requests()
    wait_for("ten requests", lambda: len(git_host.requests()) >= 10)
    first, *_, last = (r["time"] for r in git_host.requests())
    polls = [r for r in git_host.requests() if r["service"] == "upload-pack ls-refs"]

    # At most one poll in 0.5 s, although several pods read DAGs.
    assert len(cluster.pods("worker")) + len(cluster.pods("triggerer")) >= 2
    assert len(polls) <= 1 + (last - first) / 0.5


@pytest.mark.slow
def test_a_push_during_a_deployment_is_delivered(clone, checkout, cluster, relay, follow):
    checkout.change("local", workers={"max": 2})
    process = checkout.start("up")
    wait_for("the deployment", lambda: _upgrading(cluster))
    commit = clone.push(dag("steady", "during a deployment"))

    relay.wait_published(commit)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    with Api.open(cluster) as opened:
        appears(opened, "steady", "during a deployment")
    follow(PATH)


def test_a_stack_is_pinned_to_a_commit_without_restarts(clone, follow, cluster, relay):
    old = clone.push(dag("steady", "pinned"))
    relay.wait_published(clone.push(dag("steady", "newer")))
    before = cluster.revisions()

    follow(PATH, commit=old)

    relay.wait_published(old)
    clone.push(dag("steady", "newest"))
    assert cluster.revisions() == before
    assert relay.published() == old


@pytest.mark.slow
def test_a_stack_is_pinned_to_a_tag(clone, follow, relay):
    clone.push(dag("steady", "released"))
    clone.git("tag", "v1")
    clone.git("push", "--quiet", "origin", "v1")

    follow(PATH, tag="v1")

    relay.wait_published(clone.git("rev-parse", "v1"))
    moved = clone.push(dag("steady", "released again"))
    clone.git("tag", "--force", "v1")
    clone.git("push", "--quiet", "--force", "origin", "v1")
    relay.wait_published(moved)


@pytest.mark.slow
def test_submodules_are_delivered_as_folders(follow, git_host, relay, cluster):
    git_host.create("public/shared.git")
    git_host.commit("public/shared.git", {"shared.py": "VERSION = 'shared'"})
    git_host.create("public/whole.git")
    with git_host.clone("public/whole.git") as clone:
        clone.commit(
            {
                ".gitmodules": '[submodule "shared"]\n\tpath = dags/shared\n'
                f"\turl = {HTTPS}/public/shared.git\n",
                **dag("whole"),
            }
        )
        with git_host.clone("public/shared.git") as shared:
            commit = shared.git("rev-parse", "HEAD")
        link = f"160000,{commit},dags/shared"
        clone.git("update-index", "--add", "--cacheinfo", link)
        clone.git("commit", "--quiet", "-m", "With a submodule")
        clone.git("push", "--quiet", "origin", "HEAD:main")

    follow("public/whole.git")

    wait_for("the submodule", lambda: "VERSION" in relay.read("dags/shared/shared.py"))
    with Api.open(cluster) as opened:
        appears(opened, "whole")


def test_a_webhook_delivers_a_push_without_waiting(clone, follow, cluster, relay):
    follow(PATH, poll_seconds=3600, webhook=True)
    commit = clone.push(dag("steady", "announced"))

    with cluster.forward("svc/dag-relay-webhook", 8080) as port:
        assert _call(port, "not the secret") == 403
        assert relay.published() != commit
        assert _call(port, cluster.secret("dag-relay-webhook", "secret")) == 202

    relay.wait_published(commit, seconds=10)


def _call(port, secret):
    """The HTTP status of the webhook for a call that is signed as GitHub does."""
    body = b'{"ref": "refs/heads/main"}'
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    call = urllib.request.Request(
        f"http://127.0.0.1:{port}/dag-relay",
        data=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}"},
    )
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def restarts(cluster, selector):
    pods = cluster.get("pods", "-l", selector)
    return sum(each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"])


def _upgrading(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status=pending-upgrade")
