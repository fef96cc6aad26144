"""Every pod, with those of the charts: tests/chart/test_cluster_rules.py."""

import pulumi_kubernetes as k8s
import pytest

from components.kubernetes.postgres import DatabaseContainer, DatabaseContainerArgs
from components.kubernetes.task_pods import TaskPods, TaskPodsArgs
from components.support import cluster_rules
from settings.database import ContainerDatabaseSettings
from settings.kubernetes import KubernetesSettings
from settings.task_pods import TaskPodSettings


@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        ("10m", "1000m"),
        ("500m", "1000m"),
        ("501m", "1002m"),
        ("2", "4000m"),
        (0.25, "1000m"),
        (1.5, "3000m"),
    ],
)
def test_a_cpu_limit_is_twice_the_request_or_a_core(request_, limit):
    assert cluster_rules.cpu_limit(request_) == limit


@pytest.fixture
def job(deploy):
    """Declare a Job with an init container under the rules of a cluster."""

    def run(**rules):
        def program():
            cluster_rules.apply_to_objects(KubernetesSettings(**rules))
            container = k8s.core.v1.ContainerArgs(
                name="c",
                resources=k8s.core.v1.ResourceRequirementsArgs(
                    requests={"cpu": "2"}, limits={"memory": "1Gi"}
                ),
            )
            spec = k8s.core.v1.PodSpecArgs(containers=[container], init_containers=[container])
            template = k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(), spec=spec
            )
            k8s.batch.v1.Job(
                "job",
                metadata=k8s.meta.v1.ObjectMetaArgs(name="job"),
                spec=k8s.batch.v1.JobSpecArgs(template=template),
            )

        return deploy(program).one("kubernetes:batch/v1:Job").inputs

    return run


def test_init_containers_get_a_cpu_limit_beside_others(job):
    spec = job(cpu_limits=True)["spec"]["template"]["spec"]

    for kind in ("containers", "initContainers"):
        (container,) = spec[kind]
        assert container["resources"]["limits"] == {"cpu": "4000m", "memory": "1Gi"}


def test_the_pods_of_a_cron_job_get_labels_and_limits(deploy):
    def program():
        cluster_rules.apply_to_objects(
            KubernetesSettings(cpu_limits=True, pod_labels={"a": "b"}, pod_annotations={"c": "d"})
        )
        args = DatabaseContainerArgs(
            namespace="airflow",
            password=None,
            password_rotation=1,
            keda_namespace=None,
            dump_prefix="local-3-3-2",
            settings=ContainerDatabaseSettings(kind="container"),
        )
        DatabaseContainer("database", args)

    found = deploy(program).one("kubernetes:batch/v1:CronJob").inputs

    assert found["metadata"]["name"] == "database-backup", "`make backups` finds it by its name"
    template = found["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"]["a"] == "b"
    assert template["metadata"]["annotations"] == {"c": "d"}
    (container,) = template["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1000m", "memory": "256Mi"}


def test_a_job_gets_another_name_when_its_pod_changes(job):
    """Pulumi creates the next Job before it deletes the previous one."""
    names = [
        job(**rules)["metadata"]["name"]
        for rules in (
            {"cpu_limits": True},
            {"pod_labels": {"a": "b"}},
            {"pod_labels": {"a": "c"}},
            {"pod_annotations": {"a": "b"}},
        )
    ]

    assert len(set(names)) == 4
    assert all(name.startswith("job-") for name in names)
    assert job()["metadata"]["name"] == "job", "without rules, nothing changes"
    assert job(namespace_labels={"a": "b"})["metadata"]["name"] == "job"


def test_a_limit_of_the_value_files_stays():
    resources = {"requests": {"cpu": 1}, "limits": {"cpu": 8, "memory": "1Gi"}}
    below = {"scheduler": {"resources": resources}}
    wired = {
        "workers": {"celery": {"sets": [{"name": "a", "resources": {"requests": {"cpu": "3"}}}]}}
    }

    values = cluster_rules.with_cpu_limits(below, wired)

    assert values["scheduler"]["resources"]["limits"]["cpu"] == 8
    (each,) = values["workers"]["celery"]["sets"]
    assert each == {
        "name": "a",
        "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "6000m"}},
    }
    assert "limits" not in wired["workers"]["celery"]["sets"][0]["resources"]


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [(False, {"memory": "512Mi"}), (True, {"memory": "512Mi", "cpu": "1000m"})],
)
def test_pods_of_tasks_get_a_cpu_limit_by_default(deploy, limits, wanted):
    args = TaskPodsArgs(
        namespace="airflow-tasks",
        airflow_namespace="airflow",
        service_accounts=[],
        settings=TaskPodSettings(),
        cpu_limits=limits,
    )
    found = deploy(lambda: TaskPods("task-pods", args) and None)

    (limit_range,) = found.all("kubernetes:core/v1:LimitRange")
    assert limit_range.inputs["spec"]["limits"][0]["default"] == wanted
