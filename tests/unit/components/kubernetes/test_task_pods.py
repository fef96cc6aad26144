import pulumi
import pytest

from components.kubernetes.task_pods import TaskPods, TaskPodsArgs
from settings.task_pods import TaskPodSettings


@pytest.fixture
def task_pods(deploy):
    def make(login=None, credentials=None, **settings):
        def declare():
            args = TaskPodsArgs(
                namespace="airflow-tasks",
                airflow_namespace="airflow",
                service_accounts=["airflow-worker-etl", "airflow-worker-ml"],
                settings=TaskPodSettings(**settings),
                pull_secret=login,
                pull_credentials=credentials and pulumi.Output.secret(credentials),
            )
            return TaskPods("pods", args)

        return deploy(declare)

    return make


def test_task_pods_are_apart_from_the_secrets_of_airflow(task_pods):
    found = task_pods()

    namespaces = {
        r.inputs["metadata"]["namespace"]
        for r in found.resources.values()
        if "namespace" in r.inputs.get("metadata", {})
    }
    assert namespaces == {"airflow-tasks"}


def test_workers_may_only_run_pods(task_pods):
    found = task_pods()

    rules = found.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs["rules"]
    assert all(rule["apiGroups"] == [""] for rule in rules)
    resources = [resource for rule in rules for resource in rule["resources"]]
    assert resources == ["pods", "pods/log", "pods/exec", "events"]
    assert not {"*"} & {verb for rule in rules for verb in rule["verbs"]}
    binding = found.one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs
    assert [(s["name"], s["namespace"]) for s in binding["subjects"]] == [
        ("airflow-worker-etl", "airflow"),
        ("airflow-worker-ml", "airflow"),
    ]


def test_task_pods_are_restricted_and_accept_no_connection(task_pods):
    found = task_pods()

    namespace = found.one("kubernetes:core/v1:Namespace").inputs["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    policy = found.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_the_quota_follows_the_settings(task_pods):
    found = task_pods(max=3, cpu=1.5, memory_mb=2048)

    assert found.one("kubernetes:core/v1:ResourceQuota").inputs["spec"]["hard"] == {
        "pods": "3",
        "requests.cpu": "1.5",
        "limits.memory": "2048Mi",
    }


def test_a_pod_without_resources_fits_the_quota(task_pods):
    """A quota refuses pods that request none of what it counts."""
    (limit,) = task_pods().one("kubernetes:core/v1:LimitRange").inputs["spec"]["limits"]

    assert limit["type"] == "Container"
    assert limit["default"].keys() == {"memory"}
    assert limit["defaultRequest"].keys() == {"cpu", "memory"}


ACCOUNT = "kubernetes:core/v1:ServiceAccountPatch"
SECRET = "kubernetes:core/v1:Secret"


def test_task_pods_log_in_to_the_private_registry(task_pods):
    found = task_pods(login="registry", credentials="{}")

    account = found.one(ACCOUNT).inputs
    assert account["metadata"] == {"name": "default", "namespace": "airflow-tasks"}
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert found.one(SECRET).inputs["metadata"]["namespace"] == "airflow-tasks"


def test_the_secret_of_another_program_is_used(task_pods):
    found = task_pods(login="registry")

    assert found.one(ACCOUNT).inputs["imagePullSecrets"] == [{"name": "registry"}]
    assert not [r for r in found.resources.values() if r.type == SECRET]


def test_without_a_pull_secret_the_account_is_unchanged(task_pods):
    assert not [r for r in task_pods().resources.values() if r.type == ACCOUNT]
