"""Several DAG repositories with git-sync: one relay, and a bundle for each."""

import pytest

from tests.harness import dags
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.slow
FIRST, SALES, LATE = "public/first.git", "private/sales.git", "public/late.git"
# Each repository has a module of this name.
SHARED = "from shared import NAME\n        return NAME"


def files(name, version="one"):
    source = dags.source(f"of_{name}", version, work=SHARED)
    return {f"dags/of_{name}.py": source, "dags/shared.py": f"NAME = {name!r}\n"}


@pytest.fixture(scope="module", autouse=True)
def followed(follow, git_host, checkout):
    for path in (FIRST, SALES, LATE):
        git_host.create(path)
    git_host.commit(FIRST, files("first"))
    git_host.commit(SALES, files("sales"))
    # Without its DAG folder: never published so far.
    git_host.commit(LATE, {"dag/of_late.py": "in the wrong folder"})
    git_host.accept_token("sales-token", users=["bot"])
    login = {"auth": {"kind": "token", "username": "bot"}}
    repositories = {
        "sales": {**git_host.settings(SALES, checkout.folder), **login},
        "late": git_host.settings(LATE, checkout.folder),
    }
    follow(FIRST, secrets={"git_token_sales": "sales-token"}, repositories=repositories)


def version_of(api, name):
    found = api.live(f"of_{name}")
    return found and [tag["name"] for tag in found["tags"]]


def appears(api, name, version):
    wait_for(f"{version} of {name}", lambda: version_of(api, name) == [version], seconds=60)


def test_dags_of_each_repository_use_their_own_modules(api):
    for name, bundle in (("first", "dags-folder"), ("sales", "sales")):
        appears(api, name, "one")
        assert api.get(f"dags/of_{name}")["bundle_name"] == bundle
        run = api.run(f"of_{name}")
        assert run["state"] == "success"
        assert api.returned(f"of_{name}", run["dag_run_id"], "answer") == name


def test_a_rejected_repository_stops_no_other(api, git_host):
    with git_host.clone(SALES) as clone:
        clone.git("mv", "dags", "dag")
        clone.push({})
    git_host.commit(FIRST, files("first", "two"))
    git_host.commit(LATE, files("late"))

    appears(api, "first", "two")
    appears(api, "late", "one")
    assert version_of(api, "sales") == ["one"], "the last good commit"
