"""Every pod, with those of the charts: tests/chart/test_cluster_rules.py."""

import pulumi_kubernetes as k8s
import pytest

from components.kubernetes.task_pods import TaskPods, TaskPodsArgs
from components.support import cluster_rules
from settings.kubernetes import KubernetesSettings
from settings.task_pods import TaskPodSettings

CPU_LIMITS = KubernetesSettings(cpu_limits=True)


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


def test_init_containers_get_a_cpu_limit_beside_others(deploy):
    def program():
        cluster_rules.apply_to_objects(CPU_LIMITS)
        container = {
            "name": "c",
            "resources": k8s.core.v1.ResourceRequirementsArgs(
                requests={"cpu": "2"}, limits={"memory": "1Gi"}
            ),
        }
        spec = k8s.core.v1.PodSpecArgs(
            containers=[k8s.core.v1.ContainerArgs(**container)],
            init_containers=[k8s.core.v1.ContainerArgs(**container)],
        )
        k8s.batch.v1.Job(
            "job",
            spec=k8s.batch.v1.JobSpecArgs(
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(), spec=spec
                )
            ),
        )

    (job,) = deploy(program).all("kubernetes:batch/v1:Job")
    spec = job.inputs["spec"]["template"]["spec"]
    limits = {"cpu": "4000m", "memory": "1Gi"}
    for kind in ("containers", "initContainers"):
        assert [c["resources"]["limits"] for c in spec[kind]] == [limits]


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
