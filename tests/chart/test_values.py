"""The chart supports all given values, which reach Airflow and git-sync."""

import configparser
import json
import re

import pytest

from components.airflow import xcom_bucket


@pytest.fixture(scope="module")
def installed(stack, helm, airflow_chart):
    """The output of `helm install --dry-run` for a stack, with its notes."""
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


def test_the_chart_supports_every_value(any_stack, chart_defaults):
    celery = any_stack.values["workers"]["celery"]

    unknown = sorted(any_stack.values.keys() - chart_defaults.keys())
    for given in (celery, *celery["sets"]):
        known = {"name"} | chart_defaults["workers"]["celery"].keys()
        unknown += sorted(given.keys() - known)

    assert list(any_stack.values["workers"]) == ["celery"], "deprecated: move to workers.celery"
    assert unknown == [], (
        "no such value in the chart, whose schema ignores it: correct values/*.yaml or components/airflow"
    )


def test_the_chart_prints_no_warning(installed):
    """Warnings of deprecated values, above all. Pulumi hides the output of Helm."""
    notes = installed["info"]["notes"]
    assert "WARNING" not in notes, f"replace the deprecated value:\n{notes}"


def test_the_notes_of_the_chart_contain_no_password(stack, installed):
    assert "password: in-secret-airflow-admin" in installed["info"]["notes"]


def test_the_chart_renders_deterministically(stack, installed):
    assert installed["manifest"].strip() == stack.airflow.text.strip(), (
        "an upgrade without changes must not restart pods"
    )


def test_the_chart_generates_no_secret(any_stack):
    assert any_stack.airflow.all("Secret") == {}, (
        "each upgrade would generate a new one: pass the name of a Secret of the program"
    )


def test_the_chart_has_no_hooks(any_stack):
    assert "helm.sh/hook" not in any_stack.airflow.text, (
        "a hook waits for pods that wait for it, and is not part of the release"
    )


def test_all_components_of_airflow_are_rendered(any_stack):
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
        ("own-logs", "worker", "logging.remote_base_log_folder", "s3://logs"),
        ("own-logs", "api-server", "logging.remote_log_conn_id", "remote_logs"),
        ("own-image", "scheduler", "core.max_active_runs_per_dag", "3"),
        ("own-image", "scheduler", "scheduler.task_queued_timeout", "2400"),
    ],
)
def test_a_setting_reaches_the_component_that_reads_it(render, name, component, option, value):
    section, key = option.split(".")
    container = render(name).airflow.pod(f"airflow-{component}").container(component)
    # Environment variables take precedence over airflow.cfg.
    environment = {e["name"]: e.get("value") for e in container["env"]}
    in_cfg = _airflow_cfg(render(name))[section].get(key)

    assert environment.get(f"AIRFLOW__{section}__{key}".upper(), in_cfg) == value


@pytest.mark.parametrize("component", ["worker", "triggerer", "api-server", "scheduler"])
def test_log_credentials_precede_their_connection(render, component):
    container = render("own-logs").airflow.pod(f"airflow-{component}").container(component)
    names = [variable["name"] for variable in container["env"]]

    order = ["REMOTE_LOGS_KEY_ID", "REMOTE_LOGS_KEY", "AIRFLOW_CONN_REMOTE_LOGS"]
    assert [name for name in names if name in order] == order, (
        "Kubernetes inserts only variables that it already knows"
    )


@pytest.mark.parametrize("name", ["large-xcoms", "own-logs"])
def test_large_xcoms_use_a_connection_of_every_component(render, name):
    cfg = _airflow_cfg(render(name))
    path = cfg["common.io"]["xcom_objectstorage_path"]
    variable = f"AIRFLOW_CONN_{path.removeprefix('s3://').partition('@')[0]}".upper()

    assert cfg["core"]["xcom_backend"] == xcom_bucket.BACKEND
    assert cfg["common.io"]["xcom_objectstorage_threshold"] == "1048576", "Helm writes 1e+06"
    for component in ("worker", "triggerer"):
        container = render(name).airflow.pod(f"airflow-{component}").container(component)
        assert variable in [each["name"] for each in container["env"]]


def test_airflow_has_the_executor_and_dags_folder(options, any_stack):
    assert options["core"]["executor"] == "CeleryExecutor"
    if any_stack.settings.dags.mode == "git-sync":
        assert options["core"]["dags_folder"] == "/opt/airflow/dags/repo/dags"
    of_stack = any_stack.settings.airflow.config.get("core", {}).get("load_examples", "False")
    assert options["core"]["load_examples"] == str(of_stack).replace("True", "true")


def test_plugins_are_loaded_from_the_checkout_of_the_dags(options, any_stack):
    dags = any_stack.settings.dags
    if dags.mode == "bundle":
        assert "plugins_folder" not in options["core"], "each run has its own checkout"
        return
    checkout = options["core"]["dags_folder"].removesuffix(f"/{dags.sub_path}")
    assert options["core"]["plugins_folder"] == f"{checkout}/plugins"


def test_logs_of_running_tasks_are_read_by_worker_address(options):
    assert options["core"]["hostname_callable"] == "airflow.utils.net.get_host_ip_address", (
        "pods of a Deployment have no DNS names: set it in values/airflow.yaml"
    )


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_the_log_connection_is_set_for_all_its_users(render, name):
    connection = _airflow_cfg(render(name))["logging"]["remote_log_conn_id"]

    variable = {
        "name": f"AIRFLOW_CONN_{connection.upper()}",
        "value": "aws://?region_name=eu-west-1",
    }
    for component in ("worker", "triggerer", "api-server"):
        container = render(name).airflow.pod(f"airflow-{component}").container(component)
        assert variable in container["env"], (
            f"{component} loses task logs: set the variable in components/airflow/release.py"
        )


@pytest.mark.parametrize("container", ["git-sync", "git-sync-init"])
def test_only_pods_that_read_dags_run_git_sync(any_stack, container):
    synced = {
        pod.name
        for pod in any_stack.airflow.pods
        if container in [c["name"] for c in pod.containers]
    }

    workers = {pod.name for pod in any_stack.airflow.workers}
    read = {"airflow-dag-processor", "airflow-triggerer", *workers}
    assert synced == (read if any_stack.settings.dags.mode == "git-sync" else set())


@pytest.mark.parametrize("name", ["local", "dev", "prod", "ssh"])
def test_git_sync_follows_the_relay_without_a_login(render, name):
    for environment in _git_sync_environments(render(name)):
        assert environment["GITSYNC_REPO"] == "git://dag-relay:9418/dags.git"
        assert environment["GITSYNC_REF"] == environment["GIT_SYNC_BRANCH"] == "dags", (
            "git-sync reads both, and the deprecated variable takes precedence"
        )
        assert environment["GIT_SYNC_REV"] == "HEAD", "it takes precedence over both"
        assert environment["GITSYNC_PERIOD"] == "500ms"
        assert environment["GITSYNC_MAX_FAILURES"] == "-1", (
            "git-sync must survive an outage of the relay"
        )
        assert not {key for key in environment if re.search("SSH|USER(NAME)?$|PASSWORD", key)} - {
            "GIT_SYNC_ADD_USER",
            "GITSYNC_ADD_USER",
        }


def test_in_mode_bundle_airflow_reads_the_relay_itself(render):
    rendered = render("bundle")

    names = {c["name"] for pod in rendered.airflow.pods for c in pod.containers}
    assert not {name for name in names if name.startswith("git-sync")}
    (bundle,) = json.loads(_airflow_cfg(rendered)["dag_processor"]["dag_bundle_config_list"])
    assert bundle["classpath"] == "relay_bundle.RelayBundle"
    for name in ("scheduler", "api-server", "dag-processor", "triggerer", "worker"):
        mounts = rendered.airflow.pod(f"airflow-{name}").container(name)["volumeMounts"]
        (mount,) = [m for m in mounts if m["mountPath"] == "/opt/airflow/config/relay_bundle.py"]
        assert (mount["name"], mount["subPath"]) == ("dag-relay", "relay_bundle.py")
    assert bundle["kwargs"] == {
        "repo_url": "git://dag-relay:9418/dags.git",
        "tracking_ref": "dags",
        "subdir": "team/dags",
        "refresh_interval": 0,
    }


def test_in_mode_bundle_the_dag_processor_has_the_git_hook(render):
    pod = render("bundle").airflow.pod("airflow-dag-processor")

    container = pod.container("dag-processor")
    environment = {e["name"]: e.get("value") for e in container["env"]}
    assert environment["GIT_CONFIG_KEY_0"] == "core.hooksPath"
    (mount,) = [
        m for m in container["volumeMounts"] if m["mountPath"] == environment["GIT_CONFIG_VALUE_0"]
    ]
    volumes = {v["name"]: v for v in pod.spec["volumes"]}
    assert volumes[mount["name"]]["configMap"] == {"name": "dag-relay", "defaultMode": 0o555}


@pytest.mark.parametrize("name", ["local", "dev", "queues"])
def test_git_sync_has_the_hook_that_preserves_file_times(render, name):
    airflow = render(name).airflow
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
            }, "Git ignores a hook without execute permission"


def test_new_dags_are_found_without_a_refresh_interval(any_stack):
    options = _airflow_cfg(any_stack)["dag_processor"]

    assert (options["refresh_interval"], options["bundle_refresh_check_interval"]) == ("0", "1")


def _git_sync_environments(rendered):
    found = [
        {e["name"]: e.get("value") for e in container["env"]}
        for pod in rendered.airflow.pods
        for container in pod.containers
        if container["name"].startswith("git-sync")
    ]
    assert len(found) == 6
    return found


def _paths(rendered):
    """Backends of the load balancer by path and path type."""
    (ingress,) = rendered.airflow.all("Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "airflow.example.com"
    return {
        (path["path"], path["pathType"]): path["backend"]["service"]
        for path in rule["http"]["paths"]
    }


def test_the_load_balancer_routes_to_ui_and_webhook_only(render):
    ui = {("/", "Prefix"): {"name": "airflow-api-server", "port": {"name": "api-server"}}}
    assert _paths(render("prod")) == ui

    call = _paths(render("webhook"))
    webhook = call.pop(("/dag-relay", "Exact"))
    assert call == ui
    assert webhook["port"] == {"name": "use-annotation"}
    (ingress,) = render("webhook").airflow.all("Ingress").values()
    key = f"alb.ingress.kubernetes.io/actions.{webhook['name']}"
    action = json.loads(ingress["metadata"]["annotations"][key])
    (target,) = action["forwardConfig"]["targetGroups"]
    assert target == {"serviceName": "dag-relay-webhook", "servicePort": 8080}


def test_a_webhook_changes_only_the_ingress(render):
    def others(name):
        return [o for o in render(name).airflow.objects if o["kind"] != "Ingress"]

    assert others("webhook") == others("prod")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("core.max_map_length", "1000000"),
        ("core.lazy_load_plugins", "true"),
        ("logging.task_log_prefix_template", "{{ ti.dag_id }} {% if x %}"),
        ("secrets.backend_kwargs", '{\n"connections_prefix": "x"\n}'),
    ],
)
def test_an_option_reaches_airflow_cfg_unchanged(render, option, value):
    section, name = option.split(".")

    assert _airflow_cfg(render("environment"))[section][name] == value


AIRFLOW_CONTAINERS = {
    *("airflow-scheduler", "airflow-api-server", "airflow-dag-processor", "airflow-triggerer"),
    *("airflow-worker-default-queue", "airflow-worker-etl", "airflow-worker-plain"),
    *("airflow-run-airflow-migrations", "airflow-create-user", "airflow-database-cleanup"),
}


def variables(pod):
    """Variables of the main container: value, or Secret and key."""
    container = pod.spec["containers"][0]
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names)), f"{pod.name} has a variable twice"
    return {
        each["name"]: each["value"]
        if "value" in each
        else "/".join(each["valueFrom"]["secretKeyRef"][k] for k in ("name", "key"))
        for each in container["env"]
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGION_OF_DATA", "eu"),
        ("PROXY_DEPTH", "1000000"),
        ("DEBUG", "true"),
        ("AIRFLOW__SENTRY__SENTRY_DSN", "sentry/dsn"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", "airflow-metadata/connection-async"),
    ],
)
def test_a_variable_reaches_every_airflow_container(render, name, value):
    pods = [p for p in render("environment").airflow.pods if p.name != "airflow-statsd"]

    assert {pod.name for pod in pods} == AIRFLOW_CONTAINERS
    assert {pod.name: variables(pod).get(name) for pod in pods} == dict.fromkeys(
        AIRFLOW_CONTAINERS, value
    )


def test_a_variable_of_a_queue_reaches_its_workers_only(render):
    pods = render("environment").airflow.pods
    threads = {
        p.name: variables(p).get("OMP_NUM_THREADS") for p in pods if p.name != "airflow-statsd"
    }

    assert {name: value for name, value in threads.items() if value} == {
        "airflow-worker-default-queue": "1",
        "airflow-worker-etl": "4",
    }
    etl = variables(render("environment").airflow.pod("airflow-worker-etl"))
    assert etl["API_TOKEN"] == "vendor/token"
    assert etl["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "8"
