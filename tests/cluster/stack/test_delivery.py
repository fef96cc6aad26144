"""What an author pushes, and what becomes of it: the relay, the pods, Airflow's API."""

import hashlib
import hmac
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
# What templates find as `macros.pushed.version()`.
ASK = """from airflow.sdk import get_current_context
        return get_current_context()["macros"].pushed.version()"""


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


def test_a_dag_appears_changes_and_goes(clone, api):
    clone.push(dag("visitor"))
    appears(api, "visitor")
    clone.push(dag("visitor", "two"))
    appears(api, "visitor", "two")
    clone.push({"dags/visitor.py": None})
    wait_for("visitor is gone", lambda: "visitor" not in listed(api))


def test_a_new_dag_runs_on_a_worker(clone, api):
    clone.push(dag("runs_at_once"))
    appears(api, "runs_at_once")

    assert api.run("runs_at_once")["state"] == "success"


def test_tasks_have_the_macros_of_plugins_as_of_the_last_push(clone, api):
    def push(version):
        dag = {"dags/asks.py": dags.source("asks", version, work=ASK)}
        clone.push({"plugins/pushed.py": PLUGIN.format(version=version), **dag})
        appears(api, "asks", version)

    def answer():
        run = api.run("asks")
        assert run["state"] == "success", "it has no such macro"
        return api.returned("asks", run["dag_run_id"], "answer")

    push("one")
    assert answer() == "one"
    push("two")
    # The DAG processor has the push; the worker's own checkout may be a moment behind.
    wait_for("the changed macro", lambda: answer() == "two")
    clone.push({"plugins/pushed.py": None, "dags/asks.py": None})


def test_two_pushes_in_one_second_end_with_the_second(clone, api, relay):
    clone.push(dag("hasty", "first"))
    last = clone.push(dag("hasty", "second"))

    relay.publishes(last)
    appears(api, "hasty", "second")


def test_a_syntax_error_is_shown_with_its_line_and_harms_nobody_else(clone, api):
    broken = "from airflow.sdk import dag\n\n@dag(schedule=None)\ndef broken()\n    pass\n"
    clone.push({"dags/broken.py": broken, **dag("steady", "beside an error")})
    appears(api, "steady", "beside an error")

    wait_for("the error", lambda: "broken.py" in import_errors(api))
    assert 'broken.py", line 4' in import_errors(api)["broken.py"]
    assert "expected ':'" in import_errors(api)["broken.py"]

    clone.push({"dags/broken.py": broken.replace("broken()", "broken():") + "broken()\n"})
    wait_for("no error", lambda: "broken.py" not in import_errors(api))
    assert "broken" in listed(api)
    clone.push({"dags/broken.py": None})


def test_a_dag_that_hangs_at_import_holds_up_nobody_else(clone, api):
    clone.push({"dags/hangs.py": "# airflow dag\nimport time\n\ntime.sleep(600)\n"})
    clone.push(dag("steady", "beside one that hangs"))

    appears(api, "steady", "beside one that hangs")
    wait_for("its error", lambda: "hangs.py" in import_errors(api))
    assert "timeout" in import_errors(api)["hangs.py"].lower()
    clone.push({"dags/hangs.py": None})


def test_a_forced_push_is_followed(clone, api, relay):
    clone.push(dag("rewritten", "before"))
    appears(api, "rewritten", "before")

    commit = clone.commit(dag("rewritten", "after"), "--amend")
    clone.git("push", "--quiet", "--force", "origin", "HEAD:main")

    relay.publishes(commit)
    appears(api, "rewritten", "after")


def test_the_last_good_dags_outlive_their_branch(clone, api, relay):
    good = relay.published()
    clone.git("push", "--quiet", "origin", "HEAD:refs/heads/kept", ":main")

    relay.counts_errors()
    assert relay.published() == good
    assert "steady" in listed(api)

    clone.git("push", "--quiet", "origin", "HEAD:main")
    relay.publishes(clone.push(dag("steady", "after its branch was back")))


def test_a_commit_without_the_folder_of_dags_reaches_no_pod(clone, api, relay):
    good = relay.published()
    clone.git("mv", "dags", "dag")
    clone.push({})

    relay.counts_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    assert "it has no folder dags (dags.sub_path)" in relay.said()
    assert "steady" in listed(api)

    clone.git("mv", "dag", "dags")
    relay.publishes(clone.push({}))


def test_a_huge_file_reaches_no_pod(clone, api, relay):
    good = relay.published()
    with (clone.folder / "dags" / "huge.bin").open("wb") as file:
        file.truncate(200 * 2**20)
    clone.push({})

    relay.counts_errors("git_sync_hook_run_count_total")
    assert relay.published() == good
    assert "its files are 201 MiB together, and dags.max_mb is 100" in relay.said()
    assert "steady" in listed(api)

    relay.publishes(clone.push({"dags/huge.bin": None}))


def test_a_task_ends_well_although_its_file_is_gone(clone, api):
    clone.push({"dags/slow.py": dags.source("slow", work="import time; time.sleep(15)")})
    appears(api, "slow")
    run = api.start("slow")
    wait_for("its task", lambda: api.state_of("slow", run, "answer") == "running")

    clone.push({"dags/slow.py": None})
    wait_for("slow is gone", lambda: "slow" not in listed(api))

    # The run itself goes on only if the file comes back: Airflow schedules nothing of a DAG that is gone.
    wait_for("its end", lambda: api.state_of("slow", run, "answer") == "success")


# After ten minutes no cache of seconds helps any more.
@pytest.mark.parametrize("seconds", [0, pytest.param(600, marks=pytest.mark.slow)])
def test_with_the_git_host_down_old_and_new_pods_have_the_last_good_commit(
    clone, git_host, cluster, api, relay, seconds
):
    good = clone.push(dag("steady", "before the night"))
    relay.publishes(good)
    appears(api, "steady", "before the night")
    git_host.behave(down=True)
    try:
        time.sleep(seconds)
        # The relay starts over too: it has nothing but its volume.
        cluster.kubectl("-n", "airflow", "delete", "pod", "dag-relay-0", "--grace-period=0")
        workers = set(cluster.pods("worker"))
        cluster.kubectl("-n", "airflow", "delete", "pod", *workers)
        wait_for("a new worker", lambda: cluster.ready("worker") - workers, seconds=180)
        relay.counts_errors()

        assert relay.published() == good
        assert api.run("steady")["state"] == "success", "on the new worker"
    finally:
        git_host.behave()

    relay.publishes(clone.push(dag("steady", "in the morning")))
    appears(api, "steady", "in the morning")


def test_a_slow_git_host_is_late_and_no_more(clone, git_host, api):
    git_host.behave(delay_seconds=3)
    try:
        clone.push(dag("steady", "slow and sure"))
        appears(api, "steady", "slow and sure")
    finally:
        git_host.behave()


def test_however_many_pods_there_are_the_git_host_is_asked_by_one(clone, git_host, cluster):
    git_host.forget_requests()
    wait_for("ten requests", lambda: len(git_host.requests()) >= 10)
    first, *_, last = (r["time"] for r in git_host.requests())
    asked = [r for r in git_host.requests() if r["service"] == "upload-pack ls-refs"]

    # Every 0.5 s at the most, and three kinds of pods have DAGs.
    assert len(cluster.pods("worker")) + len(cluster.pods("triggerer")) >= 2
    assert len(asked) <= 1 + (last - first) / 0.5


@pytest.mark.slow
def test_a_push_in_the_middle_of_a_deployment_arrives(clone, checkout, cluster, relay, follow):
    checkout.change("local", workers={"max": 2})
    process = checkout.start("up")
    wait_for("the deployment", lambda: _upgrading(cluster))
    commit = clone.push(dag("steady", "pushed while it changed"))

    relay.publishes(commit)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    with Api.open(cluster) as opened:
        appears(opened, "steady", "pushed while it changed")
    follow(PATH)


def test_a_stack_stays_on_a_commit_and_no_pod_restarts_for_it(clone, follow, cluster, relay):
    old = clone.push(dag("steady", "to stay on"))
    relay.publishes(clone.push(dag("steady", "to leave")))
    before = cluster.revisions()

    follow(PATH, commit=old)

    relay.publishes(old)
    clone.push(dag("steady", "not for this stack"))
    assert cluster.revisions() == before
    assert relay.published() == old


@pytest.mark.slow
def test_a_stack_stays_on_a_tag(clone, follow, relay):
    clone.push(dag("steady", "released"))
    clone.git("tag", "v1")
    clone.git("push", "--quiet", "origin", "v1")

    follow(PATH, tag="v1")

    relay.publishes(clone.git("rev-parse", "v1"))


@pytest.mark.slow
def test_submodules_arrive_as_folders(follow, git_host, relay, cluster):
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


def test_a_git_host_that_announces_a_push_waits_for_no_poll(clone, follow, cluster, relay):
    follow(PATH, poll_seconds=3600, webhook=True)
    commit = clone.push(dag("steady", "announced"))

    with cluster.forward("svc/dag-relay-webhook", 8080) as port:
        assert _call(port, "not the secret") == 403
        assert relay.published() != commit
        assert _call(port, cluster.secret("dag-relay-webhook", "secret")) == 202

    relay.publishes(commit, seconds=10)


def _call(port, secret):
    """The status that the webhook answers, called as GitHub does."""
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


def _upgrading(cluster):
    return cluster.get("secrets", "-l", "owner=helm,status=pending-upgrade")
