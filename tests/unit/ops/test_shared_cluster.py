"""Stacks that share a cluster do not disturb each other."""

import json
import os
from dataclasses import replace

import pytest

from ops import shared_cluster
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.database import ExistingDatabaseSettings

KUBECTL = """cd {folder}
case "$*" in
  *" get storageclasses "*) [ -e classes ] && cat classes || exit 1 ;;
  *" get namespaces "*) cat namespaces ;;
  *" get scaledobjects.keda.sh "*) [ -e scaled ] && cat scaled || exit 1 ;;
  *" get deployment "*) cat operators ;;
esac"""


def namespace(name):
    return {
        "urn": "urn:pulumi:local::p::t::namespace-namespace",
        "type": "kubernetes:core/v1:Namespace",
        "outputs": {"metadata": {"name": name}},
    }


KEDA_NAMESPACE = {**namespace("keda"), "urn": "urn:pulumi:local::p::t::keda-namespace"}
KEDA = {"urn": "urn:pulumi:local::p::t::keda-release", "type": "kubernetes:helm.sh/v3:Release"}


class Platform:
    def __init__(self, folder, tools, settings):
        self.folder, self.settings = folder, settings
        tools("kubectl", KUBECTL.format(folder=folder))
        tools("pulumi", f"cat {folder}/state")
        self.deployed()

    def answer(self, name, given):
        (self.folder / name).write_text(json.dumps(given))

    def deployed(self, *resources):
        self.answer("state", {"deployment": {"resources": resources}})

    def session(self, name="airflow", storage_class=None, **keda):
        settings = self.settings
        workers = settings.workers.model_copy(update={"scaling": "queue"})
        cluster = settings.cluster.model_copy(
            update={"namespace": name, "storage_class": storage_class}
        )
        changed = {"cluster": cluster, "workers": workers}
        changed["keda"] = settings.keda.model_copy(update=keda)
        file = self.folder / "Pulumi.local.yaml"
        opened = Stack(name="local", file=file, env=dict(os.environ))
        return Session(settings=settings.model_copy(update=changed), stack=opened, account=None)


@pytest.fixture
def platform(tools, tmp_path, stack):
    return Platform(tmp_path, tools, stack("local")[1])


def test_a_deployed_stack_keeps_its_namespace(platform):
    platform.deployed(KEDA_NAMESPACE, namespace("airflow"))

    shared_cluster.check_namespace(platform.session("airflow"))
    with pytest.raises(
        OperationError,
        match=r"(?s)Pulumi.local.yaml:\n  airflow-platform:settings.cluster.namespace: .*deployed in "
        r"the namespace airflow; in flow it would start with empty volumes. Nothing was changed. "
        r"Set `namespace: airflow`.* or run `make down STACK=local` first",
    ):
        shared_cluster.check_namespace(platform.session("flow"))


@pytest.mark.parametrize("resources", [(), (KEDA_NAMESPACE,)], ids=["nothing", "KEDA only"])
def test_a_new_stack_may_have_any_namespace(platform, resources):
    platform.deployed(*resources)

    shared_cluster.check_namespace(platform.session("flow"))


def operator(watched, *mounted):
    env = [{"name": "WATCH_NAMESPACE", "value": watched}, {"name": "POD_NAME", "valueFrom": {}}]
    container = {"env": env, "volumeMounts": [{"mountPath": path} for path in mounted]}
    return {"items": [{"spec": {"template": {"spec": {"containers": [container]}}}}]}


@pytest.mark.parametrize("watched", ["", "airflow, flow"], ids=["all", "listed"])
def test_a_keda_that_serves_the_namespace_is_accepted(platform, watched):
    platform.answer("operators", operator(watched))

    shared_cluster.check_keda(platform.session("flow", existing=True))


def test_a_keda_that_serves_others_only_is_refused(platform):
    platform.answer("operators", operator("airflow"))

    with pytest.raises(
        OperationError,
        match=r"KEDA in namespace 'keda' of context 'kind-airflow' serves airflow only: .*'flow'.*"
        r"Nothing was changed. Set keda.all_namespaces: true",
    ):
        shared_cluster.check_keda(platform.session("flow", existing=True))


def test_a_keda_that_cannot_verify_the_database_is_refused(platform):
    session = platform.session(existing=True)
    database = ExistingDatabaseSettings(kind="existing", host="a.rds.amazonaws.com")
    changed = session.settings.model_copy(update={"database": database})
    session = replace(session, settings=changed)
    platform.answer("operators", operator(""))

    with pytest.raises(
        OperationError, match=r"no CA bundle at /etc/rds-ca, .* Nothing was changed"
    ):
        shared_cluster.check_keda(session)
    platform.answer("operators", operator("", "/etc/rds-ca"))
    shared_cluster.check_keda(session)


def test_an_existing_keda_that_is_missing_is_named(platform):
    platform.answer("operators", {"items": []})

    with pytest.raises(OperationError, match="no KEDA in namespace 'k' of context 'kind-airflow'"):
        shared_cluster.check_keda(platform.session(existing=True, namespace="k"))


def test_the_keda_of_the_stack_itself_is_not_checked(platform):
    shared_cluster.check_keda(platform.session())


def test_a_keda_that_others_use_stays(platform):
    items = [{"metadata": {"namespace": name}} for name in ("airflow", "flow", "flow")]
    platform.answer("scaled", {"items": items})
    platform.deployed(KEDA)

    with pytest.raises(
        OperationError, match=r"'local' installed the KEDA .* scales workers in flow. Nothing was"
    ):
        shared_cluster.check_keda_is_unused(platform.session())
    platform.deployed()
    shared_cluster.check_keda_is_unused(platform.session())


def test_a_cluster_without_keda_has_no_users_of_it(platform):
    platform.deployed(KEDA)

    shared_cluster.check_keda_is_unused(platform.session())


def test_a_cluster_with_another_stack_stays(platform):
    items = [
        {"metadata": {"name": name, "labels": {"airflow-platform/stack": owner}}}
        for name, owner in (("airflow", "local"), ("flow", "team-b"))
    ]
    platform.answer("namespaces", {"items": items})
    with pytest.raises(
        OperationError,
        match=r"cluster of stack 'local' also runs stack 'team-b' in namespace 'flow'. Nothing was "
        r"deleted: run `make down` for it first",
    ):
        shared_cluster.check_no_other_stack(platform.session())
    platform.answer("namespaces", {"items": items[:1]})
    shared_cluster.check_no_other_stack(platform.session())


def storage_class(name, default="false"):
    return {"metadata": {"name": name, "annotations": {shared_cluster.DEFAULT_CLASS: default}}}


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        ([storage_class("gp3", "true")], None),
        ([storage_class("gp3")], "gp3"),
        (None, None),
    ],
    ids=["default", "named", "no right to list classes"],
)
def test_a_class_that_serves_the_volumes_is_accepted(platform, classes, wanted):
    if classes is not None:
        platform.answer("classes", {"items": classes})

    shared_cluster.check_storage(platform.session(storage_class=wanted))


@pytest.mark.parametrize(
    ("classes", "wanted", "reason"),
    [
        (["gp3", "nfs"], None, "has no default StorageClass, but gp3, nfs"),
        (["gp3"], "fast", "has no StorageClass fast, but gp3"),
        ([], None, "has no default StorageClass, but no class at all"),
    ],
)
def test_volumes_without_a_class_are_refused(platform, classes, wanted, reason):
    platform.answer("classes", {"items": [storage_class(name) for name in classes]})

    with pytest.raises(OperationError, match=reason) as refused:
        shared_cluster.check_storage(platform.session(storage_class=wanted))
    assert "settings.cluster.storage_class" in str(refused.value)
    assert "Nothing was changed" in str(refused.value)
