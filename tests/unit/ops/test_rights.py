"""`make up` names every right that the user of an existing cluster lacks."""

import json
import os
import sys

import pytest

from ops import lifecycle, rights
from ops.rights import Right
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack

# Answers each review of the list on stdin, as `kubectl create` does: denied words in the file.
KUBECTL = """cd {folder}
case "$*" in
*"create --filename -"*)
  cat > reviews
  {python} - <<'PY'
import json
denied = json.load(open("denied"))
for item in json.load(open("reviews"))["items"]:
    found = item["spec"]["resourceAttributes"]
    words = [found["verb"], found["resource"], found["namespace"]]
    print("false" if words in denied else "true")
PY
;;
esac"""


@pytest.fixture
def session(tools, tmp_path, stack):
    def opened(*denied, deployed=(), name="local", **changed):
        (tmp_path / "denied").write_text(json.dumps(denied))
        state = [{"urn": f"urn:pulumi:local::p::t::{each}", "type": "t"} for each in deployed]
        (tmp_path / "state").write_text(json.dumps({"deployment": {"resources": state}}))
        tools("kubectl", KUBECTL.format(folder=tmp_path, python=sys.executable))
        tools("pulumi", f"cat {tmp_path}/state")
        settings = stack(name)[1]
        workers = settings.workers.model_copy(update=changed)
        settings = settings.model_copy(update={"workers": workers})
        file = tmp_path / "Pulumi.local.yaml"
        of = Stack(name="local", file=file, env=dict(os.environ))
        return Session(settings=settings, stack=of, account=None)

    return opened


def test_a_user_with_all_rights_may_update(session):
    rights.check(session(scaling="queue"))


def test_every_missing_right_is_named_at_once(session):
    denied = [
        ["create", "namespaces", ""],
        ["create", "customresourcedefinitions", ""],
        *([verb, "deployments", "airflow"] for verb in rights.VERBS),
        *([verb, "jobs", "airflow"] for verb in rights.VERBS),
        ["delete", "secrets", "airflow"],
    ]

    with pytest.raises(OperationError) as refused:
        rights.check(session(*denied, scaling="queue"))

    assert str(refused.value).splitlines() == [
        "the user of context 'kind-airflow' lacks rights in the cluster. Nothing was changed. Ask its "
        "administrator for (docs/clusters.md, Rights):",
        "  in the cluster: create of customresourcedefinitions.apiextensions.k8s.io, namespaces",
        "  in namespace airflow: delete of secrets",
        "  in namespace airflow: get, create, patch, delete of deployments.apps, jobs.batch",
    ]


def test_the_rights_are_checked_before_an_update(session):
    with pytest.raises(OperationError, match="create of namespaces"):
        lifecycle.apply(session(["create", "namespaces", ""]))


def test_a_deployed_stack_needs_no_rights_to_create_namespaces(session):
    deployed = {"namespace-namespace", "keda-namespace", "keda-release"}
    settings = session(scaling="queue").settings

    found = [*rights.needed(settings, deployed)]

    assert {right.namespace for right in found} == {"airflow", "keda"}
    assert Right("create", "namespaces") in [*rights.needed(settings, {"keda-namespace"})]


def test_a_given_namespace_needs_no_rights_outside_of_it(session):
    settings = session(scaling="cpu").settings
    cluster = settings.cluster.model_copy(update={"create_namespace": False})

    found = [*rights.needed(settings.model_copy(update={"cluster": cluster}), set())]

    assert {right.namespace for right in found} == {"airflow"}


def test_a_login_of_task_pods_needs_rights_in_their_namespace(session):
    settings = session(pod_operator=True).settings
    images = settings.images.model_copy(update={"pull_secret": "registry"})

    def kinds(of):
        found = rights.needed(of, set())
        return {r.resource for r in found if r.namespace == settings.task_namespace}

    assert kinds(settings.model_copy(update={"images": images})) - kinds(settings) == {
        "secrets",
        "serviceaccounts",
    }


def test_a_cluster_that_answers_no_review_is_a_note(session, tools, capsys):
    opened = session()
    tools("kubectl", "echo 'error: no such API' >&2; exit 1")

    rights.check(opened)

    assert capsys.readouterr().out == (
        "note: rights in the cluster: not checked. error: no such API\n"
    )


def test_a_cluster_of_the_program_is_not_asked(session, tools):
    rights.check(session(["create", "namespaces", ""], name="dev"))

    assert not [call for call in tools.calls() if call.startswith("kubectl")]
