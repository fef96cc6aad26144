import pytest

from components.airflow import dag_relay
from components.airflow import values as values_module
from components.airflow.values import (
    airflow_config,
    dag_bundles,
    git_sync,
    git_sync_image,
    in_airflow_cfg,
    ingress,
    plain_variables,
    scaling,
    worker_sets,
    worker_values,
)
from settings.airflow import AirflowSettings, IngressSettings
from settings.dags import DagSettings
from settings.workers import WorkerSettings

REPO = "https://github.com/example/dags.git"
HOST_KEY = "github.com ssh-ed25519 AAAAC3Nza"


def test_the_hpa_measures_containers_not_pods():
    (metric,) = scaling("default", WorkerSettings(scaling="cpu"))["hpa"]["metrics"]

    assert metric["type"] == "ContainerResource", "sidecars would lower the average"


@pytest.mark.parametrize(
    ("queue", "task_mb", "words"),
    [
        ("default", None, "3072 0 16 workers airflow celery worker"),
        ("etl", 512, "3072 512 16 queues.etl airflow celery worker -q etl"),
        ("default", 0, "3072 off 16 workers airflow celery worker"),
    ],
)
def test_a_worker_runs_with_its_entrypoint(queue, task_mb, words):
    (values,) = worker_sets({queue: WorkerSettings(task_memory_mb=task_mb)})

    python, option, script, *arguments = values["args"]
    assert (python, option) == ("python", "-c")
    assert arguments == words.split()
    assert script == values_module.WORKER.read_text()
    assert "{{" not in script, "the chart renders arguments as a template"


def test_keda_polls_with_its_own_connection():
    values = scaling("default", WorkerSettings(scaling="queue"))

    assert (values["keda"]["pollingInterval"], values["keda"]["cooldownPeriod"]) == (5, 120)
    assert values["env"] == [
        {
            "name": "AIRFLOW_CONN_AIRFLOW_DB",
            "valueFrom": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
        }
    ]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("queue", ["keda", "advanced", "horizontalPodAutoscalerConfig", "behavior"]),
        ("cpu", ["hpa", "behavior"]),
    ],
)
def test_scale_up_is_fast_and_scale_down_slow(kind, path):
    behavior = scaling("default", WorkerSettings(scaling=kind))
    for key in path:
        behavior = behavior[key]

    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleUp"]["policies"] == [{"type": "Pods", "value": 4, "periodSeconds": 15}]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 90
    assert behavior["scaleDown"]["policies"] == [
        {"type": "Percent", "value": 50, "periodSeconds": 15}
    ]


def test_a_worker_requests_its_gpus():
    resources = worker_values("ml", WorkerSettings(gpu=2))["resources"]

    assert resources["requests"]["nvidia.com/gpu"] == 2
    assert resources["limits"]["nvidia.com/gpu"] == 2
    assert "nvidia.com/gpu" not in worker_values("ml", WorkerSettings())["resources"]["limits"]


@pytest.mark.parametrize(("cpu", "request_"), [(0.25, "250m"), (2, "2000m"), (0.29, "290m")])
def test_worker_resources_follow_the_settings(cpu, request_):
    resources = worker_values("default", WorkerSettings(cpu=cpu, memory_mb=2048))["resources"]

    assert resources == {
        "requests": {"cpu": request_, "memory": "2048Mi"},
        "limits": {"memory": "2048Mi"},
    }, "no CPU limit; memory request equals limit"


def test_workers_on_own_nodes_have_a_disk_limit():
    (on_eks,) = worker_sets({"default": WorkerSettings(disk_gb=20)}, own_nodes=True)
    (elsewhere,) = worker_sets({"default": WorkerSettings(disk_gb=20)})

    for amounts in ("requests", "limits"):
        assert on_eks["resources"][amounts]["ephemeral-storage"] == "20Gi"
        assert "ephemeral-storage" not in elsewhere["resources"][amounts], (
            "a node that does not manage its disk takes no such pod"
        )


TWO = {"default": WorkerSettings(), "etl": WorkerSettings(max=2, concurrency=3)}


def by_queue(queues, **given):
    return {each["queue"]: each for each in worker_sets(queues, **given)}


def test_worker_sets_never_select_each_other_s_pods():
    single = by_queue({"default": WorkerSettings()})
    several = by_queue(TWO)

    assert single["default"]["name"] == "default", "deployed stacks must keep their objects"
    names = [each["name"] for each in several.values()]
    assert names == ["default-queue", "etl"], (
        "the selectors of a set named `default` match the workers of every set"
    )


def test_each_queue_has_its_own_nodes_in_every_zone():
    sets = by_queue(TWO, own_nodes=True)

    taints = {queue: each["tolerations"][0]["value"] for queue, each in sets.items()}
    assert taints == {"default": "workers", "etl": "workers-etl"}
    for queue, each in sets.items():
        assert each["nodeSelector"] == {"airflow-platform/nodes": taints[queue]}
        (spread,) = each["topologySpreadConstraints"]
        assert spread["topologyKey"] == "topology.kubernetes.io/zone"
        assert spread["labelSelector"]["matchLabels"] == {
            "release": "airflow",
            "component": "worker",
            "worker-set": each["name"],
        }


def test_only_chosen_queues_may_start_pods():
    sets = by_queue({**TWO, "pods": WorkerSettings(pod_operator=True)}, task_namespace="team-tasks")

    mounts = {
        queue: each["serviceAccount"].get("automountServiceAccountToken", False)
        for queue, each in sets.items()
    }
    assert mounts == {"default": False, "etl": False, "pods": True}
    name = "AIRFLOW_CONN_KUBERNETES_DEFAULT"
    having = [q for q, each in sets.items() if name in [e["name"] for e in each.get("env", [])]]
    assert having == ["pods"]


def test_every_pod_follows_the_relay():
    values = git_sync(DagSettings(repo=REPO, branch="release", sub_path="team/dags", max_mb=50))

    assert values == {
        "enabled": True,
        "repo": "git://dag-relay:9418/dags.git",
        "branch": "dags",
        "ref": "dags",
        "subPath": "team/dags",
        "period": "500ms",
        "emptyDirConfig": {"sizeLimit": "200Mi"},
    }
    assert values["repo"] == dag_relay.url()
    assert values["ref"] == dag_relay.BRANCH


def test_git_sync_mode_configures_no_bundle():
    assert dag_bundles(DagSettings(repo=REPO)) == {}


@pytest.mark.parametrize(("folder", "subdir"), [("team/dags", "team/dags"), ("", None)])
def test_bundles_follow_the_relay(folder, subdir):
    dags = DagSettings(repo=REPO, mode="bundle", branch="release", sub_path=folder)

    assert git_sync(dags) == {"enabled": False}
    assert dag_bundles(dags)["dagBundleConfigList"] == [
        {
            "name": "dags",
            "classpath": "relay_bundle.RelayBundle",
            "kwargs": {
                "repo_url": "git://dag-relay:9418/dags.git",
                "tracking_ref": "dags",
                "subdir": subdir,
                "refresh_interval": 0,
            },
        }
    ]


OTHERS = {"sales": {"repo": REPO, "sub_path": ""}, "research": {"repo": REPO, "sub_path": "a/b"}}


def test_each_repository_is_a_bundle():
    dags = DagSettings(repo=REPO, mode="bundle", repositories=OTHERS)

    bundles = dag_bundles(dags)["dagBundleConfigList"]
    assert [
        (bundle["name"], bundle["kwargs"]["repo_url"], bundle["kwargs"]["subdir"])
        for bundle in bundles
    ] == [
        ("dags", "git://dag-relay:9418/dags.git", "dags"),
        ("sales", "git://dag-relay:9418/repositories/sales/dags.git", None),
        ("research", "git://dag-relay:9418/repositories/research/dags.git", "a/b"),
    ]
    assert {bundle["classpath"] for bundle in bundles} == {"relay_bundle.RelayBundle"}


def test_each_repository_is_a_folder_with_git_sync():
    dags = DagSettings(repo=REPO, repositories=OTHERS, max_mb=50)

    values = git_sync(dags)
    assert values["repo"] == "git://dag-relay:9418/combined/dags.git"
    assert values["emptyDirConfig"] == {"sizeLimit": "600Mi"}
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    root = "/opt/airflow/dags/repo/repositories"
    assert dag_bundles(dags)["dagBundleConfigList"] == [
        # The chart's default: the DAGs of `dags.repo` keep their bundle.
        {"name": "dags-folder", "classpath": local, "kwargs": {}},
        {"name": "sales", "classpath": local, "kwargs": {"path": f"{root}/sales"}},
        {"name": "research", "classpath": local, "kwargs": {"path": f"{root}/research/a/b"}},
    ]


def test_the_dag_processor_of_a_bundle_has_the_git_hook():
    values = dag_bundles(DagSettings(repo=REPO, mode="bundle"))

    assert {each["name"]: each["value"] for each in values["env"]} == {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/relay",
        "GIT_CONFIG_SYSTEM": "/relay/gitconfig",
    }, "without it, files that import a changed module are parsed minutes later"
    (mount,) = values["extraVolumeMounts"]
    assert mount == {"name": "dag-relay", "mountPath": "/relay", "readOnly": True}


def config(airflow=None, workers=None, dags=None):
    return airflow_config(
        AirflowSettings(**airflow or {}),
        WorkerSettings(**workers or {}),
        DagSettings(repo=REPO, **dags or {}),
    )


def test_a_stack_may_configure_another_plugins_folder():
    of_the_image = {"plugins_folder": "/opt/airflow/plugins"}

    assert config(airflow={"config": {"core": of_the_image}})["core"] == of_the_image


def test_database_pools_match_the_sizing():
    pool = {"sql_alchemy_pool_size": 5, "sql_alchemy_max_overflow": 10}

    assert config()["database"] == pool


def test_configured_options_extend_the_derived_ones():
    more = {"celery": {"pool": "threads"}, "email": {"from_email": "a@b.example"}}
    plain, merged = config(), config(airflow={"config": more})

    assert merged["email"] == {"from_email": "a@b.example"}
    assert merged["celery"] == {**plain["celery"], "pool": "threads"}
    assert {s: merged[s] for s in plain if s != "celery"} == {
        s: plain[s] for s in plain if s != "celery"
    }


INGRESS = IngressSettings(
    host="airflow.example.com",
    certificate_arn="arn:aws:acm:eu-west-1:111122223333:certificate/1",
    allowed_cidrs=("10.0.0.0/8", "192.0.2.0/24"),
)


def test_the_ui_is_limited_to_all_allowed_cidrs():
    annotations = ingress(INGRESS, webhook=False)["annotations"]

    cidrs = annotations["alb.ingress.kubernetes.io/inbound-cidrs"]
    assert cidrs == "10.0.0.0/8,192.0.2.0/24"


def test_git_sync_of_the_pods_has_the_digest_of_the_settings():
    digest = f"sha256:{'a' * 64}"
    dags = DagSettings(
        repo=REPO, git_sync_image="host:5000/git-sync:v4.5.0", git_sync_digest=digest
    )

    assert git_sync_image(dags) == {
        "repository": "host:5000/git-sync",
        "tag": f"v4.5.0@{digest}",
    }, "the chart joins them with a colon and has no value for the digest"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (5.0, "5"), (0.5, "0.5"), (1_000_000, "1000000"), ("x", "x")],
)
def test_a_scalar_is_passed_as_yaml_spells_it(value, text):
    assert plain_variables({"A": value}) == [{"name": "A", "value": text}]
    assert in_airflow_cfg(value) == text


def test_braces_and_lines_of_an_option_are_no_template():
    assert in_airflow_cfg("{{ ti }}\nb") == '{{ "{{" }} ti }}\n        b'


def test_a_worker_set_has_the_variables_of_its_queue():
    etl = WorkerSettings(env={"A": 1}, secret_env={"B": "vendor/token"})
    (default, own) = worker_sets({"default": WorkerSettings(scaling="cpu"), "etl": etl})

    assert "env" not in default
    assert own["env"][2:] == [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "vendor", "key": "token"}}},
    ]
