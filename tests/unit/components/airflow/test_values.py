import json

import pytest

from components.airflow import dag_relay
from components.airflow.values import (
    airflow_config,
    dag_bundles,
    git_sync,
    ingress,
    scaling,
    scheduler_env,
    service_account,
    worker_sets,
    worker_values,
)
from settings.airflow import AirflowSettings, IngressSettings
from settings.dags import DagSettings
from settings.workers import WorkerSettings

REPO = "https://github.com/example/dags.git"
HOST_KEY = "github.com ssh-ed25519 AAAAC3Nza"


@pytest.mark.parametrize("kind", ["queue", "cpu", "fixed"])
def test_only_one_autoscaler_is_enabled(kind):
    values = scaling("default", WorkerSettings(scaling=kind))

    assert values["keda"]["enabled"] is (kind == "queue")
    assert values["hpa"]["enabled"] is (kind == "cpu")
    assert ("replicas" in values) is (kind == "fixed")


@pytest.mark.parametrize(("kind", "scaler"), [("queue", "keda"), ("cpu", "hpa")])
def test_the_number_of_workers_is_between_min_and_max(kind, scaler):
    values = scaling("default", WorkerSettings(scaling=kind, min=3, max=17))[scaler]

    assert (values["minReplicaCount"], values["maxReplicaCount"]) == (3, 17)


def test_without_scaling_the_maximum_is_running():
    assert scaling("default", WorkerSettings(scaling="fixed", min=3, max=17))["replicas"] == 17


def test_the_hpa_measures_only_the_worker_container():
    (metric,) = scaling("default", WorkerSettings(scaling="cpu"))["hpa"]["metrics"]

    assert metric == {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "worker",
            "target": {"type": "Utilization", "averageUtilization": 70},
        },
    }, "sidecars would lower the average"


def test_keda_polls_with_its_own_connection():
    values = scaling("default", WorkerSettings(scaling="queue"))

    assert (values["keda"]["pollingInterval"], values["keda"]["cooldownPeriod"]) == (5, 120)
    assert values["env"] == [
        {
            "name": "AIRFLOW_CONN_AIRFLOW_DB",
            "valueFrom": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
        }
    ]


@pytest.mark.parametrize("kind", ["cpu", "fixed"])
def test_without_keda_workers_have_no_database_connection(kind):
    assert "env" not in scaling("default", WorkerSettings(scaling=kind))


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


@pytest.mark.parametrize(("cpu", "request_"), [(0.25, "250m"), (2, "2000m"), (0.29, "290m")])
def test_worker_resources_follow_the_settings(cpu, request_):
    resources = worker_values("default", WorkerSettings(cpu=cpu, memory_mb=2048))["resources"]

    assert resources == {
        "requests": {"cpu": request_, "memory": "2048Mi"},
        "limits": {"memory": "2048Mi"},
    }, "no CPU limit; memory request equals limit"


def test_a_stopping_worker_gets_its_grace_period():
    values = worker_values("default", WorkerSettings(grace_seconds=1234))

    assert values["terminationGracePeriodSeconds"] == 1234


def test_worker_values_include_their_scaling():
    assert worker_values("default", WorkerSettings(scaling="fixed", max=2))["replicas"] == 2


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


def test_the_default_service_account_never_changes():
    accounts = {queue: each["serviceAccount"] for queue, each in by_queue(TWO).items()}

    assert accounts == {
        "default": {"name": "airflow-worker"},
        "etl": {"name": "airflow-worker-etl"},
    }
    assert service_account("default") == "airflow-worker"


def concurrency(worker_set):
    environment = {e["name"]: e.get("value") for e in worker_set.get("env", [])}
    return environment.get("AIRFLOW__CELERY__WORKER_CONCURRENCY")


def test_each_queue_has_its_own_concurrency():
    sets = by_queue(TWO)

    assert concurrency(sets["default"]) is None, "airflow.cfg contains the concurrency of `default`"
    assert concurrency(sets["etl"]) == "3"
    assert "AIRFLOW_CONN_AIRFLOW_DB" in [e["name"] for e in sets["etl"]["env"]], (
        "KEDA needs the connection"
    )


@pytest.mark.parametrize("kind", ["cpu", "fixed"])
def test_cpu_scaling_needs_no_database_connection(kind):
    etl = by_queue({"default": WorkerSettings(), "etl": WorkerSettings(scaling=kind)})["etl"]

    assert etl["keda"] == {"enabled": False}
    assert concurrency(etl) == "8"
    assert len(etl["env"]) == 1


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
    assert values["repo"] == dag_relay.URL
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
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "repo_url": "git://dag-relay:9418/dags.git",
                "tracking_ref": "dags",
                "subdir": subdir,
                "refresh_interval": 0,
            },
        }
    ]


def config(airflow=None, workers=None, dags=None):
    return airflow_config(
        AirflowSettings(**airflow or {}),
        WorkerSettings(**workers or {}),
        DagSettings(repo=REPO, **dags or {}),
    )


@pytest.mark.parametrize("folder", ["dags", "team/dags", ""])
def test_plugins_are_loaded_from_the_repository_root(folder):
    core = config(dags={"sub_path": folder})["core"]

    assert core == {"plugins_folder": "/opt/airflow/dags/repo/plugins"}


def test_bundle_mode_loads_no_plugins_from_a_folder():
    assert "core" not in config(dags={"mode": "bundle"})


def test_a_stack_may_configure_another_plugins_folder():
    of_the_image = {"plugins_folder": "/opt/airflow/plugins"}

    assert config(airflow={"config": {"core": of_the_image}})["core"] == of_the_image


def test_worker_concurrency_follows_the_settings():
    assert config(workers={"concurrency": 5})["celery"] == {"worker_concurrency": 5}


@pytest.mark.parametrize(
    ("airflow", "slots"), [({}, "24"), ({"parallelism": 100}, "100")], ids=["derived", "set"]
)
def test_parallelism_covers_all_worker_slots(airflow, slots):
    env = scheduler_env(AirflowSettings(**airflow), [WorkerSettings(max=6, concurrency=4)])

    assert env == [{"name": "AIRFLOW__CORE__PARALLELISM", "value": slots}]


def test_parallelism_covers_the_slots_of_every_queue():
    queues = [WorkerSettings(max=6, concurrency=4), WorkerSettings(max=2, concurrency=3)]

    assert scheduler_env(AirflowSettings(), queues)[0]["value"] == "30"


def test_a_changed_worker_count_restarts_no_pod():
    assert config(workers={"max": 4}) == config(workers={"max": 9}), (
        "a changed value restarts every pod"
    )


def test_database_pools_match_the_sizing():
    pool = {"sql_alchemy_pool_size": 5, "sql_alchemy_max_overflow": 10}

    assert config()["database"] == pool


@pytest.mark.parametrize(
    ("airflow", "url"),
    [({}, "http://localhost:8080"), ({"base_url": "https://a.example/b"}, "https://a.example/b")],
    ids=["unset", "set"],
)
def test_links_point_to_the_configured_url(airflow, url):
    assert config(airflow=airflow)["api"]["base_url"] == url


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


def test_the_ui_is_https_only_and_limited_to_allowed_cidrs():
    values = ingress(INGRESS, webhook=False)

    annotations = {key.rpartition("/")[2]: value for key, value in values["annotations"].items()}
    assert values["enabled"] is True
    assert values["ingressClassName"] == "airflow"
    assert values["hosts"] == [{"name": "airflow.example.com"}]
    assert (values["path"], values["pathType"]) == ("/", "Prefix")
    assert json.loads(annotations["listen-ports"]) == [{"HTTPS": 443}], "no plain HTTP"
    assert annotations["inbound-cidrs"] == "10.0.0.0/8,192.0.2.0/24"
    assert annotations["ssl-policy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert annotations["target-type"] == "ip"
    assert annotations["healthcheck-path"] == "/api/v2/monitor/health"


def test_the_ingress_routes_one_path_to_the_webhook():
    plain, values = (ingress(INGRESS, webhook=webhook) for webhook in (False, True))

    (path,) = values.pop("precedingPaths")
    assert path == {"path": "/dag-relay", "pathType": "Exact", "servicePort": "use-annotation"}
    # With the port `use-annotation`, the load balancer looks for the action of this name.
    action = json.loads(
        values["annotations"].pop("alb.ingress.kubernetes.io/actions.airflow-api-server")
    )
    assert action == {
        "type": "forward",
        "forwardConfig": {
            "targetGroups": [{"serviceName": "dag-relay-webhook", "servicePort": 8080}]
        },
    }
    assert values == plain, "the route of the UI must not change"
