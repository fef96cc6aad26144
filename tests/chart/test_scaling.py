"""The number of workers follows what the settings say, and no task is lost when it falls."""

import pytest

from components.worker_nodes import NAME as NODE_POOL


def _worker(rendered):
    return rendered.airflow.all("Deployment")["airflow-worker"]


@pytest.mark.parametrize(("name", "low", "high"), [("local", 1, 3), ("cpu", 2, 4)])
def test_by_cpu_an_autoscaler_sets_the_number_of_workers(of, name, low, high):
    (autoscaler,) = of(name).airflow.all("HorizontalPodAutoscaler").values()
    spec = autoscaler["spec"]
    target = spec["scaleTargetRef"]

    assert (target["apiVersion"], target["kind"], target["name"]) == (
        "apps/v1",
        "Deployment",
        _worker(of(name))["metadata"]["name"],
    )
    assert (spec["minReplicas"], spec["maxReplicas"]) == (low, high)
    assert of(name).airflow.all("ScaledObject") == {}
    assert "replicas" not in _worker(of(name))["spec"], "Helm would reset what the autoscaler set"


def test_cpu_is_that_of_the_container_that_runs_tasks(of):
    (autoscaler,) = of("cpu").airflow.all("HorizontalPodAutoscaler").values()
    (metric,) = autoscaler["spec"]["metrics"]
    resource = metric["containerResource"]
    container = of("cpu").airflow.pod("airflow-worker").container(resource["container"])

    assert resource["name"] == "cpu"
    assert resource["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert container["resources"]["requests"]["cpu"] == "1000m", "70 % of what it requests"


@pytest.mark.parametrize(
    ("name", "low", "high", "concurrency"),
    [("dev", 1, 4, 8), ("staging", 1, 8, 8), ("prod", 2, 20, 8), ("queue-from-zero", 0, 3, 4)],
)
def test_by_queue_keda_sets_the_number_of_workers(of, name, low, high, concurrency):
    (scaled,) = of(name).airflow.all("ScaledObject").values()
    spec = scaled["spec"]
    (trigger,) = spec["triggers"]

    assert spec["scaleTargetRef"]["kind"] == "Deployment"
    assert spec["scaleTargetRef"]["name"] == _worker(of(name))["metadata"]["name"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (low, high)
    assert f"/ {concurrency})" in trigger["metadata"]["query"], "tasks that one worker runs"
    assert of(name).airflow.all("HorizontalPodAutoscaler") == {}, "KEDA makes its own"
    assert "replicas" not in _worker(of(name))["spec"], "Helm would reset what KEDA set"


@pytest.mark.parametrize("name", ["prod", "queue-from-zero"])
def test_keda_finds_a_connection_that_its_driver_understands(of, name):
    (scaled,) = of(name).airflow.all("ScaledObject").values()
    (trigger,) = scaled["spec"]["triggers"]
    source = scaled["spec"]["scaleTargetRef"]["envSourceContainerName"]
    environment = of(name).airflow.pod("airflow-worker").container(source)["env"]

    variable = trigger["metadata"]["connectionFromEnv"]
    (reference,) = [e["valueFrom"]["secretKeyRef"] for e in environment if e["name"] == variable]
    content = of(name).declared("Secret", "airflow")[reference["name"]]
    assert content[reference["key"]].value.startswith("postgresql://")


def test_a_fixed_number_of_workers_is_fixed(of):
    assert _worker(of("fixed"))["spec"]["replicas"] == 4
    assert of("fixed").airflow.all("HorizontalPodAutoscaler") == {}
    assert of("fixed").airflow.all("ScaledObject") == {}


def test_more_workers_restart_the_scheduler_only(of):
    before = of("dev").airflow.all("Deployment")
    after = of("more-workers").airflow.all("Deployment")

    changed = {name for name, deployment in after.items() if deployment != before[name]}

    assert changed == {"airflow-scheduler"}, "a restarted worker stops taking tasks"


@pytest.mark.parametrize(
    ("name", "seconds"), [("local", 30), ("dev", 600), ("staging", 600), ("prod", 7200)]
)
def test_a_worker_that_stops_may_finish_its_tasks(of, name, seconds):
    pod = of(name).airflow.pod("airflow-worker")
    container = pod.container("worker")

    assert pod.kind == "Deployment", "a StatefulSet would stop workers one after the other"
    assert pod.spec["terminationGracePeriodSeconds"] == seconds
    assert pod.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert {"name": "DUMB_INIT_SETSID", "value": "0"} in container["env"], (
        "the signal to stop would reach the running tasks"
    )
    assert container["args"][-1].startswith("exec "), "a shell in between keeps the signal"


def test_drained_nodes_take_one_worker_at_a_time(any_stack):
    budgets = any_stack.airflow.all("PodDisruptionBudget")

    for name, budget in budgets.items():
        assert {"minAvailable", "maxUnavailable"} & budget["spec"].keys() == {"maxUnavailable"}, (
            name
        )
    worker = budgets["airflow-worker-pdb"]["spec"]
    assert worker["maxUnavailable"] == 1
    labels = any_stack.airflow.pod("airflow-worker").labels
    assert worker["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(("name", "number"), [("local", 1), ("dev", 1), ("prod", 2)])
def test_the_other_components_are_as_many_as_the_settings_say(of, name, number):
    deployments = of(name).airflow.all("Deployment")

    for component in ("scheduler", "api-server", "dag-processor", "triggerer"):
        assert deployments[f"airflow-{component}"]["spec"]["replicas"] == number, component


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_on_eks_workers_and_only_workers_go_to_the_nodes_made_for_them(of, name):
    pool = of(name).declaration.one("kubernetes:karpenter.sh/v1:NodePool").inputs
    template = pool["spec"]["template"]
    (taint,) = template["spec"]["taints"]
    worker = of(name).airflow.pod("airflow-worker")
    others = [pod for pod in of(name).airflow.pods if pod.name != "airflow-worker"]

    assert pool["metadata"]["name"] == NODE_POOL
    assert worker.spec["nodeSelector"] == template["metadata"]["labels"]
    assert worker.spec["tolerations"] == [taint]
    assert worker.annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert [pod.name for pod in others if pod.spec.get("tolerations")] == []


def test_an_existing_cluster_has_no_nodes_for_workers_only(of):
    assert not of("local").airflow.pod("airflow-worker").spec.get("nodeSelector")


def test_keda_is_installed_for_the_queue_only(of):
    assert of("local").keda is of("cpu").keda is of("fixed").keda is None


@pytest.mark.parametrize("name", ["dev", "queue-from-zero"])
def test_keda_watches_airflow_and_may_read_its_connection(of, name):
    manifests = of(name).keda
    bindings = [o for o in manifests.objects if o["kind"] == "RoleBinding"]

    for pod in manifests.pods:
        (container,) = pod.containers
        assert {"name": "WATCH_NAMESPACE", "value": "airflow"} in container["env"], pod.name
    operator = manifests.pod("keda-operator").spec["serviceAccountName"]
    bound = {
        subject["name"]
        for binding in bindings
        if binding["metadata"]["namespace"] == "airflow"
        for subject in binding["subjects"]
    }
    assert bound == {operator}


@pytest.mark.parametrize("name", ["dev", "queue-from-zero"])
def test_keda_comes_after_the_namespaces_that_it_writes_to(of, name):
    declaration = of(name).declaration
    release = declaration.one("kubernetes:helm.sh/v3:Release", "keda-release")
    before = declaration.waits_for(release.urn)
    there = {"kube-system"} | {
        n.inputs["metadata"]["name"]
        for n in declaration.all("kubernetes:core/v1:Namespace")
        if n.urn in before
    }

    written = {
        o["metadata"]["namespace"] for o in of(name).keda.objects if "namespace" in o["metadata"]
    }
    assert written <= there, "Helm would fail when it is faster than the namespace"


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_keda_verifies_rds_with_the_certificates_that_its_url_names(of, name):
    operator = of(name).keda.pod("keda-operator")
    (container,) = operator.containers
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    files = {
        f"{mounts[volume['name']]}/{key}"
        for volume in operator.spec["volumes"]
        if "configMap" in volume
        for key in of(name).declared("ConfigMap", "keda")[volume["configMap"]["name"]]
    }
    url = of(name).declared("Secret", "airflow")["airflow-keda"]["connection"].value

    assert url.partition("sslrootcert=")[2] in files


def test_keda_needs_no_certificates_for_a_database_without_tls(of):
    volumes = of("queue-from-zero").keda.pod("keda-operator").spec["volumes"]

    assert [volume["name"] for volume in volumes if "configMap" in volume] == []


def test_postgresql_admits_the_pod_that_counts_tasks(of):
    declaration = of("queue-from-zero").declaration
    policy = declaration.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", "database-clients")
    namespace = declaration.one("kubernetes:core/v1:Namespace", "keda-namespace")
    (rule,) = policy.inputs["spec"]["ingress"]

    admitted = [
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], pod.name)
        for peer in rule["from"]
        for pod in of("queue-from-zero").keda.pods
        if "namespaceSelector" in peer
        and peer["podSelector"]["matchLabels"].items() <= pod.labels.items()
    ]
    assert admitted == [(namespace.inputs["metadata"]["name"], "keda-operator")]
