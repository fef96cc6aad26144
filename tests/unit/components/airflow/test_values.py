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
def test_never_two_things_decide_the_number_of_workers(kind):
    values = scaling("default", WorkerSettings(scaling=kind))

    assert values["keda"]["enabled"] is (kind == "queue")
    assert values["hpa"]["enabled"] is (kind == "cpu")
    assert ("replicas" in values) is (kind == "fixed")


@pytest.mark.parametrize(("kind", "scaler"), [("queue", "keda"), ("cpu", "hpa")])
def test_the_number_of_workers_stays_between_min_and_max(kind, scaler):
    values = scaling("default", WorkerSettings(scaling=kind, min=3, max=17))[scaler]

    assert (values["minReplicaCount"], values["maxReplicaCount"]) == (3, 17)


def test_a_fixed_number_of_workers_is_the_maximum():
    assert scaling("default", WorkerSettings(scaling="fixed", min=3, max=17))["replicas"] == 17


def test_the_hpa_looks_at_the_cpu_of_the_worker_container_only():
    (metric,) = scaling("default", WorkerSettings(scaling="cpu"))["hpa"]["metrics"]

    assert metric == {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "worker",
            "target": {"type": "Utilization", "averageUtilization": 70},
        },
    }, "sidecars would dilute it"


def test_keda_reads_the_queue_every_few_seconds_with_a_connection_of_its_own():
    values = scaling("default", WorkerSettings(scaling="queue"))

    assert (values["keda"]["pollingInterval"], values["keda"]["cooldownPeriod"]) == (5, 120)
    assert values["env"] == [
        {
            "name": "AIRFLOW_CONN_AIRFLOW_DB",
            "valueFrom": {"secretKeyRef": {"name": "airflow-keda", "key": "connection"}},
        }
    ]


@pytest.mark.parametrize("kind", ["cpu", "fixed"])
def test_without_keda_dags_cannot_use_the_metadata_database(kind):
    assert "env" not in scaling("default", WorkerSettings(scaling=kind))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("queue", ["keda", "advanced", "horizontalPodAutoscalerConfig", "behavior"]),
        ("cpu", ["hpa", "behavior"]),
    ],
)
def test_workers_come_fast_and_go_slowly(kind, path):
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
def test_a_worker_gets_the_cpu_and_the_memory_of_the_settings(cpu, request_):
    resources = worker_values("default", WorkerSettings(cpu=cpu, memory_mb=2048))["resources"]

    assert resources == {
        "requests": {"cpu": request_, "memory": "2048Mi"},
        "limits": {"memory": "2048Mi"},
    }, "no CPU limit, and no memory that is not there"


def test_a_worker_may_finish_its_tasks():
    values = worker_values("default", WorkerSettings(grace_seconds=1234))

    assert values["terminationGracePeriodSeconds"] == 1234


def test_worker_values_include_their_scaling():
    assert worker_values("default", WorkerSettings(scaling="fixed", max=2))["replicas"] == 2


TWO = {"default": WorkerSettings(), "etl": WorkerSettings(max=2, concurrency=3)}


def by_queue(queues, **given):
    return {each["queue"]: each for each in worker_sets(queues, **given)}


def test_the_only_queue_has_the_chart_s_own_workers_and_others_get_none_that_it_selects():
    alone = by_queue({"default": WorkerSettings()})
    beside = by_queue(TWO)

    assert alone["default"]["name"] == "default", "running stacks keep their objects"
    names = [each["name"] for each in beside.values()]
    assert names == ["default-queue", "etl"], (
        "the selectors of a set named default match the workers of all others"
    )


def test_rights_of_the_workers_of_default_stay_when_other_queues_come():
    accounts = {queue: each["serviceAccount"] for queue, each in by_queue(TWO).items()}

    assert accounts == {
        "default": {"name": "airflow-worker"},
        "etl": {"name": "airflow-worker-etl"},
    }
    assert service_account("default") == "airflow-worker"


def concurrency(worker_set):
    environment = {e["name"]: e.get("value") for e in worker_set.get("env", [])}
    return environment.get("AIRFLOW__CELERY__WORKER_CONCURRENCY")


def test_a_worker_of_another_queue_runs_as_many_tasks_as_that_queue_says():
    sets = by_queue(TWO)

    assert concurrency(sets["default"]) is None, "airflow.cfg has that of default"
    assert concurrency(sets["etl"]) == "3"
    assert "AIRFLOW_CONN_AIRFLOW_DB" in [e["name"] for e in sets["etl"]["env"]], "KEDA's"


@pytest.mark.parametrize("kind", ["cpu", "fixed"])
def test_without_keda_another_queue_has_no_query_and_no_database_connection(kind):
    etl = by_queue({"default": WorkerSettings(), "etl": WorkerSettings(scaling=kind)})["etl"]

    assert etl["keda"] == {"enabled": False}
    assert concurrency(etl) == "8"
    assert len(etl["env"]) == 1


def test_each_queue_has_its_own_nodes_and_spreads_over_zones_by_itself():
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


def test_each_pod_follows_the_relay_and_never_the_git_host():
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


def test_git_sync_needs_no_bundles():
    assert dag_bundles(DagSettings(repo=REPO)) == {}


@pytest.mark.parametrize(("folder", "subdir"), [("team/dags", "team/dags"), ("", None)])
def test_bundles_come_from_the_relay_too(folder, subdir):
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
def test_plugins_of_the_repository_are_loaded_from_its_top(folder):
    core = config(dags={"sub_path": folder})["core"]

    assert core == {"plugins_folder": "/opt/airflow/dags/repo/plugins"}


def test_in_mode_bundle_there_is_no_folder_to_load_plugins_from():
    assert "core" not in config(dags={"mode": "bundle"})


def test_plugins_of_an_image_are_loaded_where_a_stack_wants_them():
    of_the_image = {"plugins_folder": "/opt/airflow/plugins"}

    assert config(airflow={"config": {"core": of_the_image}})["core"] == of_the_image


def test_a_worker_runs_as_many_tasks_as_the_settings_say():
    assert config(workers={"concurrency": 5})["celery"] == {"worker_concurrency": 5}


@pytest.mark.parametrize(
    ("airflow", "slots"), [({}, "24"), ({"parallelism": 100}, "100")], ids=["derived", "set"]
)
def test_a_scheduler_fills_every_worker(airflow, slots):
    env = scheduler_env(AirflowSettings(**airflow), [WorkerSettings(max=6, concurrency=4)])

    assert env == [{"name": "AIRFLOW__CORE__PARALLELISM", "value": slots}]


def test_a_scheduler_fills_the_workers_of_every_queue():
    queues = [WorkerSettings(max=6, concurrency=4), WorkerSettings(max=2, concurrency=3)]

    assert scheduler_env(AirflowSettings(), queues)[0]["value"] == "30"


def test_another_number_of_workers_leaves_the_common_configuration_alone():
    assert config(workers={"max": 4}) == config(workers={"max": 9}), "every pod would restart"


def test_database_pools_are_those_that_the_capacity_counts_on():
    pool = {"sql_alchemy_pool_size": 5, "sql_alchemy_max_overflow": 10}

    assert config()["database"] == pool


@pytest.mark.parametrize(
    ("airflow", "url"),
    [({}, "http://localhost:8080"), ({"base_url": "https://a.example/b"}, "https://a.example/b")],
    ids=["unset", "set"],
)
def test_links_lead_to_the_ui(airflow, url):
    assert config(airflow=airflow)["api"]["base_url"] == url


def test_more_options_come_on_top_and_drop_none_that_is_derived():
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


def test_the_ui_is_served_over_https_to_the_listed_networks():
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


def test_the_load_balancer_leads_one_path_to_the_webhook():
    plain, values = (ingress(INGRESS, webhook=webhook) for webhook in (False, True))

    (path,) = values.pop("precedingPaths")
    assert path == {"path": "/dag-relay", "pathType": "Exact", "servicePort": "use-annotation"}
    # The port says so, and the chart puts its own Service beside it: this is the name to look under.
    action = json.loads(
        values["annotations"].pop("alb.ingress.kubernetes.io/actions.airflow-api-server")
    )
    assert action == {
        "type": "forward",
        "forwardConfig": {
            "targetGroups": [{"serviceName": "dag-relay-webhook", "servicePort": 8080}]
        },
    }
    assert values == plain, "the UI stays as it is"
