"""The rendered charts of every committed stack, and of variants of them."""

import json
import os
import runpy
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import pytest
import yaml

from ops import stack_files
from ops.plan import mock_engine
from ops.plan.report import airflow_values
from policies.chart_values import RELEASE, merge
from policies.pods import TEMPLATES
from settings import Settings
from settings.versions import AIRFLOW_CHART, AIRFLOW_VERSIONS, KEDA_CHART

PROJECT = "airflow-platform"
KUBERNETES = "1.34.0"
HOST_KEY = "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexample"

SSO = {
    "issuer": "https://keycloak.example.com/realms/example",
    "client_id": "airflow",
    "roles": {"data-platform": "Admin", "{{ analysts }}": "Viewer"},
}

KUBERNETES_RULES = {
    "pod_labels": {"example.com/team": "data", "cost-center": "4711"},
    "pod_annotations": {"example.com/template": "{{ with secret }}", "example.com/scan": "true"},
    "namespace_labels": {"example.com/team": "data"},
    "namespace_annotations": {"example.com/owner": "data@example.com"},
    "cpu_limits": True,
}
PROXY = {"http": "http://proxy.example.com:3128", "https": "http://proxy.example.com:3129"}

LARGE_XCOMS = {"image": "registry.example/airflow", "xcom_bucket": True}

# By name: a committed stack, and changes of its settings.
VARIANTS = {
    "queue-from-zero": ("local", {"workers": {"scaling": "queue", "min": 0}}),
    "pods": ("local", {"queues": {"pods": {"pod_operator": True, "gpu": 1}}}),
    **{f"airflow-{v}": ("dev", {"airflow": {"version": v}}) for v in AIRFLOW_VERSIONS},
    "cpu": ("dev", {"workers": {"scaling": "cpu", "min": 2}}),
    "fixed": ("dev", {"workers": {"scaling": "fixed"}}),
    "token": ("dev", {"dags": {"auth": {"kind": "token"}}}),
    "bundle": ("dev", {"dags": {"mode": "bundle", "sub_path": "team/dags"}}),
    "ssh": (
        "dev",
        {
            "dags": {
                "repo": "git@github.com:example/airflow-dags.git",
                "tag": "v1.2.0",
                "poll_seconds": 60,
                "auth": {"kind": "ssh", "known_hosts": HOST_KEY},
            }
        },
    ),
    "own-image": (
        "staging",
        {
            "dags": {"git_sync_digest": f"sha256:{'0b' * 32}"},
            "airflow": {
                "image": "registry.example/airflow",
                "digest": f"sha256:{'0a' * 32}",
                "parallelism": 100,
                "config": {
                    "core": {"max_active_runs_per_dag": 3},
                    "scheduler": {"task_queued_timeout": 2400},  # overrides values/
                },
            },
        },
    ),
    "cached": (
        "dev",
        {
            "images": {
                "docker_hub_secret_arn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
                "ecr-pullthroughcache/docker-hub-Ab1"
            }
        },
    ),
    # Options that Helm would spell differently, and environment variables.
    "environment": (
        "dev",
        {
            "airflow": {
                "config": {
                    "core": {"max_map_length": 1_000_000, "lazy_load_plugins": True},
                    "logging": {"task_log_prefix_template": "{{ ti.dag_id }} {% if x %}"},
                    "secrets": {"backend_kwargs": '{\n"connections_prefix": "x"\n}'},
                },
                "env": {"REGION_OF_DATA": "eu", "PROXY_DEPTH": 1_000_000, "DEBUG": True},
                "secret_env": {"AIRFLOW__SENTRY__SENTRY_DSN": "sentry/dsn"},
            },
            "workers": {"env": {"OMP_NUM_THREADS": 1}},
            "queues": {
                "etl": {"env": {"OMP_NUM_THREADS": 4}, "secret_env": {"API_TOKEN": "vendor/token"}},
                "plain": {"scaling": "cpu"},
            },
        },
    ),
    "registry": ("dev", {"images": {"registry": "registry.example.com/mirror"}}),
    "more-workers": ("dev", {"workers": {"max": 5}}),
    "webhook": ("prod", {"dags": {"webhook": True}}),
    # All kinds of scaling, sizes that differ from `default`, and scaling from zero.
    "queues": (
        "dev",
        {
            "queues": {
                "etl": {"min": 0, "max": 6, "concurrency": 2, "memory_mb": 8192},
                "ml": {"architecture": "arm64", "scaling": "cpu", "grace_seconds": 7200},
                "slow": {"max": 2, "scaling": "fixed", "cpu": 2},
            }
        },
    ),
    "existing-keda": (
        "local",
        {
            "workers": {"scaling": "queue"},
            "keda": {"existing": True, "namespace": "keda-system"},
        },
    ),
    "pull-secret": (
        "local",
        {
            "images": {"pull_secret": "registry"},
            "workers": {"scaling": "queue"},
            "cluster": {"namespace": "flow"},
        },
    ),
    "large-xcoms": ("dev", {"airflow": LARGE_XCOMS}),
    "own-logs": (
        "local",
        {
            "logs": {
                "bucket": "logs",
                "endpoint_url": "https://s3",
                "credentials_secret": "task-logs",
            },
            "airflow": LARGE_XCOMS,
        },
    ),
    "sso": ("prod", {"airflow": {"sso": SSO}}),
    "sso-only": ("local", {"airflow": {"sso": SSO, "admin_user": False}}),
    # Every workload of the program, in a cluster with rules for pods and behind a proxy.
    "cluster-rules": (
        "local",
        {
            "kubernetes": KUBERNETES_RULES,
            "proxy": {**PROXY, "no_proxy": ["10.244.0.0/16", ".example.org"]},
            "airflow": {"sso": SSO},
            "workers": {"scaling": "queue"},
            "queues": {"pods": {"pod_operator": True, "cpu": 2, "scaling": "cpu"}},
            "dags": {"webhook": True},
        },
    ),
    "given-namespace": (
        "local",
        {"cluster": {"create_namespace": False}, "workers": {"scaling": "cpu"}},
    ),
    "cluster-rules-on-aws": (
        "prod",
        {"kubernetes": KUBERNETES_RULES, "proxy": PROXY, "dags": {"webhook": True}},
    ),
    "queue-on-existing": ("local", {"queues": {"etl": {"max": 2, "concurrency": 6}}}),
}
LOGINS = {
    f"{PROJECT}:git_token": "a-git-token",
    f"{PROJECT}:git_ssh_key": "an-ssh-key",
    f"{PROJECT}:sso_client_secret": "a-client-secret",
}


@dataclass(frozen=True)
class Pod:
    """The pod template of the workload `kind`/`name`."""

    kind: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self):
        """All containers, with init containers, which the chart may render as null."""
        return [*(self.spec.get("initContainers") or []), *self.spec["containers"]]

    def container(self, name):
        (found,) = [c for c in self.containers if c["name"] == name]
        return found


@dataclass(frozen=True)
class Manifests:
    """The output of `helm template`."""

    text: str

    @cached_property
    def objects(self):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return [o for o in yaml.load_all(self.text, loader) if o]

    def all(self, kind):
        """Objects of a kind by name."""
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    @cached_property
    def pods(self):
        return [_pod(o) for o in self.objects if o["kind"] in _TEMPLATES]

    @property
    def workers(self):
        """Pods of Celery workers."""
        return [pod for pod in self.pods if pod.labels.get("component") == "worker"]

    def pod(self, name):
        (found,) = [p for p in self.pods if p.name == name]
        return found


@dataclass(frozen=True)
class Rendered:
    """A stack or variant: its settings, the program's resources, and the rendered charts."""

    settings: Settings
    snapshot: mock_engine.StackSnapshot
    values: dict[str, Any]
    airflow: Manifests
    keda: Manifests | None

    @property
    def own_pods(self):
        """Pods that the program declares."""
        workloads = [r for t in TEMPLATES for r in self.snapshot.all(t)]
        return [_pod({"kind": r.type.rpartition(":")[2], **r.inputs}) for r in workloads]

    @property
    def all_pods(self):
        """Pods of the program and of both charts."""
        return self.own_pods + self.airflow.pods + (self.keda.pods if self.keda else [])

    def contents(self, kind, namespace):
        """The program's Secrets or ConfigMaps in a namespace: contents by name."""
        return {
            r.inputs["metadata"]["name"]: r.inputs.get("stringData") or r.inputs.get("data")
            for r in self.snapshot.all(f"kubernetes:core/v1:{kind}")
            if r.inputs["metadata"]["namespace"] == namespace
        }


_TEMPLATES = {
    "Deployment": lambda o: o["spec"]["template"],
    "StatefulSet": lambda o: o["spec"]["template"],
    "DaemonSet": lambda o: o["spec"]["template"],
    "Job": lambda o: o["spec"]["template"],
    "CronJob": lambda o: o["spec"]["jobTemplate"]["spec"]["template"],
}


def _pod(workload):
    template = _TEMPLATES[workload["kind"]](workload)
    metadata = template["metadata"]
    return Pod(
        kind=workload["kind"],
        name=workload["metadata"]["name"],
        labels=metadata["labels"],
        annotations=metadata.get("annotations") or {},
        spec=template["spec"],
    )


def _declare(name):
    stack, changes = VARIANTS.get(name, (name, None))
    if changes is None:
        return stack_files.run_stack(stack)
    config = {key: text for key, text, _ in stack_files.read_stack(stack)} | LOGINS
    given = json.loads(config[f"{PROJECT}:settings"])
    config[f"{PROJECT}:settings"] = json.dumps(merge(given, changes))
    program = {}
    snapshot = mock_engine.run(
        lambda: program.update(runpy.run_path(str(stack_files.ROOT / "__main__.py"))),
        stack=stack,
        project=PROJECT,
        config=config,
        secret_keys=frozenset(LOGINS),
    )
    return snapshot, program["stack"]


@pytest.fixture(scope="session")
def helm():
    """Run Helm on a chart, without a cluster."""
    path = shutil.which("helm")
    if path is None:
        pytest.fail("helm is not on PATH; see https://helm.sh/docs/intro/install/", pytrace=False)

    def run(command, release, chart, chart_values, *flags):
        done = subprocess.run(
            [path, command, release, str(chart), "--namespace", release, "--values", "-", *flags],
            input=json.dumps(chart_values),
            env={**os.environ, "KUBECONFIG": os.devnull},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"helm {command} {release}: {done.stderr}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def airflow_chart(charts):
    return charts / AIRFLOW_CHART.archive


@pytest.fixture(scope="session")
def chart_defaults(airflow_chart):
    """The chart's own values.yaml."""
    with tarfile.open(airflow_chart) as archive:
        return yaml.safe_load(archive.extractfile("airflow/values.yaml"))


@pytest.fixture(scope="session")
def render(helm, charts, airflow_chart):
    """Render a stack or variant by name, each once."""

    @cache
    def template(release, chart, chart_values):
        flags = ("--kube-version", KUBERNETES)
        return Manifests(helm("template", release, chart, json.loads(chart_values), *flags))

    @cache
    def rendered(name):
        snapshot, settings = _declare(name)
        values = airflow_values(snapshot)
        keda_values = [
            json.dumps(r.inputs["values"], sort_keys=True)
            for r in snapshot.all(RELEASE)
            if r.name == "keda-release"
        ]
        keda_chart = charts / KEDA_CHART.archive
        return Rendered(
            settings=settings,
            snapshot=snapshot,
            values=values,
            airflow=template("airflow", airflow_chart, json.dumps(values)),
            keda=template("keda", keda_chart, keda_values[0]) if keda_values else None,
        )

    return rendered


@pytest.fixture(scope="session", params=stack_files.stack_names())
def stack(request, render):
    """Every committed stack."""
    return render(request.param)


@pytest.fixture(scope="session", params=[*stack_files.stack_names(), *VARIANTS])
def any_stack(request, render):
    """Every committed stack, and every variant."""
    return render(request.param)
