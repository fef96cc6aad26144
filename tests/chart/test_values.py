"""The chart knows every value that it is given; Airflow and git-sync get what the settings say."""

import configparser
import json
import re

import pytest


@pytest.fixture(scope="module")
def installed(stack, helm, airflow_chart):
    """The stack as `helm install` would send it, with the notes that it would print."""
    release = helm(
        "install", "airflow", airflow_chart, stack.values, "--dry-run=client", "--output", "json"
    )
    return json.loads(release)


@pytest.fixture
def options(any_stack):
    return _airflow_cfg(any_stack)


def _airflow_cfg(rendered):
    cfg = configparser.RawConfigParser()
    cfg.read_string(rendered.airflow.all("ConfigMap")["airflow-config"]["data"]["airflow.cfg"])
    return cfg


def test_the_chart_has_every_value_that_is_set(any_stack, chart_defaults):
    celery = any_stack.values["workers"]["celery"]

    unknown = sorted(any_stack.values.keys() - chart_defaults.keys())
    for given in (celery, *celery["sets"]):
        known = {"name"} | chart_defaults["workers"]["celery"].keys()
        unknown += sorted(given.keys() - known)

    assert unknown == [], "its schema is open in these places: a typo would be ignored"


def test_only_the_celery_workers_are_configured(any_stack):
    assert list(any_stack.values["workers"]) == ["celery"], "all other keys there are deprecated"


def test_the_chart_warns_of_nothing(installed):
    """Of deprecated keys, above all. Nobody else would see it: Pulumi hides what Helm prints."""
    assert "WARNING" not in installed["info"]["notes"]


def test_what_helm_prints_tells_no_password(stack, installed):
    assert "password: in-secret-airflow-admin" in installed["info"]["notes"]


def test_rendering_again_gives_the_same(stack, installed):
    assert installed["manifest"].strip() == stack.airflow.text.strip(), (
        "an upgrade that changes nothing must restart nothing"
    )


def test_the_chart_makes_no_secret_of_its_own(any_stack):
    assert any_stack.airflow.all("Secret") == {}, "it would make another one in the next upgrade"


def test_nothing_is_a_hook(any_stack):
    assert "helm.sh/hook" not in any_stack.airflow.text, (
        "a hook waits for pods that wait for it, and Helm does not count it to the release"
    )


def test_every_component_of_airflow_is_there(any_stack):
    workloads = {(pod.kind, pod.name) for pod in any_stack.airflow.pods}

    assert workloads == {
        ("Deployment", "airflow-api-server"),
        ("Deployment", "airflow-scheduler"),
        ("Deployment", "airflow-dag-processor"),
        ("Deployment", "airflow-triggerer"),
        *(("Deployment", pod.name) for pod in any_stack.airflow.workers),
        ("Deployment", "airflow-statsd"),
        ("Job", "airflow-run-airflow-migrations"),
        ("Job", "airflow-create-user"),
        ("CronJob", "airflow-database-cleanup"),
    }


@pytest.mark.parametrize(
    ("name", "component", "option", "value"),
    [
        ("local", "scheduler", "core.parallelism", "12"),
        ("prod", "scheduler", "core.parallelism", "160"),
        ("own-image", "scheduler", "core.parallelism", "100"),
        ("queues", "scheduler", "core.parallelism", str(4 * 8 + 6 * 2 + 4 * 8 + 2 * 8)),
        ("local", "worker", "celery.worker_concurrency", "4"),
        ("prod", "worker", "celery.worker_concurrency", "8"),
        ("local", "dag-processor", "dag_processor.refresh_interval", "0"),
        ("ssh", "dag-processor", "dag_processor.refresh_interval", "0"),
        ("ssh", "dag-processor", "dag_processor.bundle_refresh_check_interval", "1"),
        ("local", "api-server", "api.base_url", "http://localhost:8080"),
        ("prod", "api-server", "api.base_url", "https://airflow.example.com"),
        ("local", "worker", "logging.remote_logging", "False"),
        ("prod", "worker", "logging.remote_logging", "True"),
        ("prod", "worker", "logging.remote_base_log_folder", "s3://logs-bucket"),
        ("own-image", "scheduler", "core.max_active_runs_per_dag", "3"),
        ("own-image", "scheduler", "scheduler.task_queued_timeout", "2400"),
    ],
)
def test_a_setting_reaches_the_component_that_reads_it(of, name, component, option, value):
    section, key = option.split(".")
    container = of(name).airflow.pod(f"airflow-{component}").container(component)
    # Airflow prefers its environment.
    environment = {e["name"]: e.get("value") for e in container["env"]}
    in_cfg = _airflow_cfg(of(name))[section].get(key)

    assert environment.get(f"AIRFLOW__{section}__{key}".upper(), in_cfg) == value


def test_airflow_is_told_of_its_executor_and_of_its_dags(options, any_stack):
    assert options["core"]["executor"] == "CeleryExecutor"
    if any_stack.settings.dags.mode == "git-sync":
        assert options["core"]["dags_folder"] == "/opt/airflow/dags/repo/dags"
    assert options["core"]["load_examples"] == "False"


def test_pods_with_dags_load_the_plugins_of_the_same_checkout(options, any_stack):
    dags = any_stack.settings.dags
    if dags.mode == "bundle":
        assert "plugins_folder" not in options["core"], "each run has a checkout of its own"
        return
    checkout = options["core"]["dags_folder"].removesuffix(f"/{dags.sub_path}")
    assert options["core"]["plugins_folder"] == f"{checkout}/plugins"


def test_logs_of_running_tasks_come_from_the_address_of_the_worker(options):
    assert options["core"]["hostname_callable"] == "airflow.utils.net.get_host_ip_address", (
        "pods of a Deployment have no DNS name of their own"
    )


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_the_log_connection_is_in_the_environment_of_all_who_use_it(of, name):
    connection = _airflow_cfg(of(name))["logging"]["remote_log_conn_id"]

    variable = {
        "name": f"AIRFLOW_CONN_{connection.upper()}",
        "value": "aws://?region_name=eu-west-1",
    }
    for component in ("worker", "triggerer", "api-server"):
        container = of(name).airflow.pod(f"airflow-{component}").container(component)
        assert variable in container["env"], f"{component} would lose task logs"


@pytest.mark.parametrize("container", ["git-sync", "git-sync-init"])
def test_dags_are_synced_where_dags_are_read_and_nowhere_else(any_stack, container):
    synced = {
        pod.name
        for pod in any_stack.airflow.pods
        if container in [c["name"] for c in pod.containers]
    }

    workers = {pod.name for pod in any_stack.airflow.workers}
    read = {"airflow-dag-processor", "airflow-triggerer", *workers}
    assert synced == (read if any_stack.settings.dags.mode == "git-sync" else set())


@pytest.mark.parametrize("name", ["local", "dev", "prod", "ssh"])
def test_every_pod_follows_the_relay_without_a_login(of, name):
    for environment in _of_git_sync(of(name)):
        assert environment["GITSYNC_REPO"] == "git://dag-relay:9418/dags.git"
        assert environment["GITSYNC_REF"] == environment["GIT_SYNC_BRANCH"] == "dags", (
            "git-sync reads both, and the older name wins"
        )
        assert environment["GIT_SYNC_REV"] == "HEAD", "it would win over both"
        assert environment["GITSYNC_PERIOD"] == "500ms"
        assert environment["GITSYNC_MAX_FAILURES"] == "-1", "the relay may be down for a while"
        assert not {key for key in environment if re.search("SSH|USER(NAME)?$|PASSWORD", key)} - {
            "GIT_SYNC_ADD_USER",
            "GITSYNC_ADD_USER",
        }


def test_in_mode_bundle_every_part_of_airflow_reads_the_relay_itself(of):
    rendered = of("bundle")

    names = {c["name"] for pod in rendered.airflow.pods for c in pod.containers}
    assert not {name for name in names if name.startswith("git-sync")}
    (bundle,) = json.loads(_airflow_cfg(rendered)["dag_processor"]["dag_bundle_config_list"])
    assert bundle["classpath"] == "airflow.providers.git.bundles.git.GitDagBundle"
    assert bundle["kwargs"] == {
        "repo_url": "git://dag-relay:9418/dags.git",
        "tracking_ref": "dags",
        "subdir": "team/dags",
        "refresh_interval": 0,
    }


@pytest.mark.parametrize("name", ["local", "dev", "queues"])
def test_git_finds_the_hook_that_keeps_the_times_of_unchanged_files(of, name):
    airflow = of(name).airflow
    others = [airflow.pod(f"airflow-{name}") for name in ("dag-processor", "triggerer")]
    for pod in (*airflow.workers, *others):
        volumes = {v["name"]: v for v in pod.spec["volumes"]}
        for container in ("git-sync", "git-sync-init"):
            environment = {e["name"]: e.get("value") for e in pod.container(container)["env"]}
            assert environment["GITSYNC_GIT_CONFIG"] == "core.hooksPath:/relay"
            (mount,) = [
                m for m in pod.container(container)["volumeMounts"] if m["mountPath"] == "/relay"
            ]
            assert volumes[mount["name"]]["configMap"] == {
                "name": "dag-relay",
                "defaultMode": 0o555,
            }, "Git runs no hook that it may not execute"


def test_a_new_dag_is_found_as_soon_as_it_is_there(any_stack):
    options = _airflow_cfg(any_stack)["dag_processor"]

    assert (options["refresh_interval"], options["bundle_refresh_check_interval"]) == ("0", "1")


def _of_git_sync(rendered):
    found = [
        {e["name"]: e.get("value") for e in container["env"]}
        for pod in rendered.airflow.pods
        for container in pod.containers
        if container["name"].startswith("git-sync")
    ]
    assert len(found) == 6
    return found


def _paths(rendered):
    """What the load balancer does with a path: the backend, by path and its type."""
    (ingress,) = rendered.airflow.all("Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "airflow.example.com"
    return {
        (path["path"], path["pathType"]): path["backend"]["service"]
        for path in rule["http"]["paths"]
    }


def test_the_load_balancer_leads_to_the_ui_alone_unless_the_git_host_may_call(of):
    ui = {("/", "Prefix"): {"name": "airflow-api-server", "port": {"name": "api-server"}}}
    assert _paths(of("prod")) == ui

    call = _paths(of("webhook"))
    webhook = call.pop(("/dag-relay", "Exact"))
    assert call == ui
    assert webhook["port"] == {"name": "use-annotation"}
    (ingress,) = of("webhook").airflow.all("Ingress").values()
    key = f"alb.ingress.kubernetes.io/actions.{webhook['name']}"
    action = json.loads(ingress["metadata"]["annotations"][key])
    (target,) = action["forwardConfig"]["targetGroups"]
    assert target == {"serviceName": "dag-relay-webhook", "servicePort": 8080}


def test_a_webhook_changes_nothing_of_airflow_but_its_ingress(of):
    def others(name):
        return [o for o in of(name).airflow.objects if o["kind"] != "Ingress"]

    assert others("webhook") == others("prod")
