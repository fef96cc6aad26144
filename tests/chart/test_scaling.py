"""Scaling of workers per queue: autoscalers, KEDA, sizes, nodes, and graceful scale-in."""

import re

import pytest

from components.airflow import keda_role
from components.airflow.values import deployment
from settings import limits


def _worker(rendered):
    return rendered.airflow.all("Deployment")["airflow-worker"]


@pytest.mark.parametrize(("name", "low", "high"), [("local", 1, 3), ("cpu", 2, 4)])
def test_scaling_by_cpu_uses_an_autoscaler(render, name, low, high):
    (autoscaler,) = render(name).airflow.all("HorizontalPodAutoscaler").values()
    spec = autoscaler["spec"]
    target = spec["scaleTargetRef"]

    assert (target["apiVersion"], target["kind"], target["name"]) == (
        "apps/v1",
        "Deployment",
        _worker(render(name))["metadata"]["name"],
    )
    assert (spec["minReplicas"], spec["maxReplicas"]) == (low, high)
    assert render(name).airflow.all("ScaledObject") == {}
    assert "replicas" not in _worker(render(name))["spec"], (
        "Helm would reset the autoscaler's number: omit replicas"
    )


def test_the_autoscaler_measures_the_container_of_tasks(render):
    (autoscaler,) = render("cpu").airflow.all("HorizontalPodAutoscaler").values()
    (metric,) = autoscaler["spec"]["metrics"]
    resource = metric["containerResource"]
    container = render("cpu").airflow.pod("airflow-worker").container(resource["container"])

    assert resource["name"] == "cpu"
    assert resource["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert container["resources"]["requests"]["cpu"] == "1000m", (
        "utilization is relative to this request"
    )


@pytest.mark.parametrize(
    ("name", "low", "high", "concurrency"),
    [("dev", 1, 4, 8), ("staging", 1, 8, 8), ("prod", 2, 20, 8), ("queue-from-zero", 0, 3, 4)],
)
def test_scaling_by_queue_uses_keda(render, name, low, high, concurrency):
    (scaled,) = render(name).airflow.all("ScaledObject").values()
    spec = scaled["spec"]
    (trigger,) = spec["triggers"]

    assert spec["scaleTargetRef"]["kind"] == "Deployment"
    assert spec["scaleTargetRef"]["name"] == _worker(render(name))["metadata"]["name"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (low, high)
    assert f"/ {concurrency}.0)" in trigger["metadata"]["query"], (
        "the divisor must be the concurrency of a worker"
    )
    assert render(name).airflow.all("HorizontalPodAutoscaler") == {}, "KEDA creates its own"
    assert "replicas" not in _worker(render(name))["spec"], (
        "Helm would reset KEDA's number: omit replicas"
    )


@pytest.mark.parametrize("name", ["prod", "queue-from-zero"])
def test_keda_has_a_connection_that_its_driver_supports(render, name):
    (scaled,) = render(name).airflow.all("ScaledObject").values()
    (trigger,) = scaled["spec"]["triggers"]
    source = scaled["spec"]["scaleTargetRef"]["envSourceContainerName"]
    environment = render(name).airflow.pod("airflow-worker").container(source)["env"]

    variable = trigger["metadata"]["connectionFromEnv"]
    (reference,) = [e["valueFrom"]["secretKeyRef"] for e in environment if e["name"] == variable]
    content = render(name).contents("Secret", "airflow")[reference["name"]]
    assert content[reference["key"]].value.startswith("postgresql://")


def test_worker_deployments_have_the_names_of_the_chart(any_stack):
    queues = any_stack.settings.all_queues
    names = {queue: deployment(queue, queues) for queue in queues}

    assert sorted(names.values()) == sorted(pod.name for pod in any_stack.airflow.workers)
    for queue, settings in queues.items():
        scaled = names[queue] in any_stack.airflow.all("ScaledObject")
        assert scaled is (settings.scaling == "queue"), "`make drain` annotates the ScaledObject"


def test_an_upgrade_does_not_undrain_a_queue(render):
    manifests = render("queues").airflow

    for scaled in manifests.all("ScaledObject").values():
        assert "annotations" not in scaled["metadata"]
    fixed = {n for n, d in manifests.all("Deployment").items() if "replicas" in d["spec"]}
    assert {n for n in fixed if "-worker" in n} == {"airflow-worker-slow"}, "only `scaling: fixed`"


def test_an_upgrade_keeps_the_pause_annotation(any_stack):
    scheduler = any_stack.airflow.all("Deployment")["airflow-scheduler"]

    assert "annotations" not in scheduler["metadata"]
    assert scheduler["spec"]["replicas"] == any_stack.settings.airflow.replicas.scheduler


# All other words of a query must be readable columns or tables.
KEYWORDS = {"select", "ceil", "count", "filter", "case", "when", "then", "else", "end"}
KEYWORDS |= {"from", "where", "or", "and"}
READABLE = {"task_instance", "state", "queue"}


def test_keda_s_user_may_read_all_that_keda_queries(any_stack):
    for name, scaled in any_stack.airflow.all("ScaledObject").items():
        (trigger,) = scaled["spec"]["triggers"]
        query = re.sub(r"'[^']*'", "", trigger["metadata"]["query"].lower())
        assert set(re.findall(r"[a-z_]+", query)) - KEYWORDS == READABLE, name
    granted = re.search(r"GRANT SELECT \((.+)\) ON (\w+)", keda_role.SCRIPT.read_text())
    assert {*granted[1].split(", "), granted[2]} == READABLE


def test_keda_s_user_is_created_only_for_scaling_by_queue(any_stack):
    declared = any_stack.snapshot.all("kubernetes:batch/v1:Job")
    jobs = [job for job in declared if job.name == "airflow-keda-role-job"]

    assert len(jobs) == bool(any_stack.airflow.all("ScaledObject"))
    for job in jobs:
        pod = job.inputs["spec"]["template"]
        labels = pod["metadata"]["labels"].items()
        for kind in ("Service", "NetworkPolicy", "PodDisruptionBudget", "Deployment"):
            for name, resource in any_stack.airflow.all(kind).items():
                selector = resource["spec"].get("selector") or resource["spec"]["podSelector"]
                wanted = selector.get("matchLabels", selector).items()
                assert not wanted <= labels, f"{kind} {name} selects the pod of the job"
        images = {c["image"] for p in any_stack.airflow.workers for c in p.containers}
        assert pod["spec"]["containers"][0]["image"] in images


def test_node_sizes_include_the_sidecars_of_a_worker(any_stack):
    for pod in any_stack.airflow.workers:
        requests = [
            container["resources"]["requests"]
            for container in pod.spec["containers"]
            if container["name"] != "worker"
        ]
        cpu = sum(int(r["cpu"].removesuffix("m")) for r in requests) / 1000
        memory_mb = sum(int(r["memory"].removesuffix("Mi")) for r in requests)
        included = (limits.SIDECARS_CPU, limits.SIDECARS_MB)
        if any_stack.settings.dags.mode == "git-sync":
            assert (cpu, memory_mb) == included, "update SIDECARS_* in settings/limits.py"
        else:
            assert (cpu, memory_mb) < included, "no git-sync in mode bundle"


def test_more_workers_restart_only_the_scheduler(render):
    before = render("dev").airflow.all("Deployment")
    after = render("more-workers").airflow.all("Deployment")

    changed = {name for name, deployment in after.items() if deployment != before[name]}

    assert changed == {"airflow-scheduler"}, "a restarted worker takes no tasks meanwhile"


@pytest.mark.parametrize(
    ("name", "seconds"), [("local", 30), ("dev", 120), ("staging", 120), ("prod", 7200)]
)
def test_a_terminating_worker_finishes_its_tasks(render, name, seconds):
    pod = render(name).airflow.pod("airflow-worker")
    container = pod.container("worker")

    assert pod.kind == "Deployment", "a StatefulSet stops workers one by one"
    assert pod.spec["terminationGracePeriodSeconds"] == seconds
    assert pod.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert {"name": "DUMB_INIT_SETSID", "value": "0"} in container["env"], (
        "dumb-init would forward SIGTERM to the running tasks"
    )
    assert container["args"][0] == "python", "a shell as parent does not forward SIGTERM"


def test_node_drains_evict_one_worker_at_a_time(any_stack):
    budgets = any_stack.airflow.all("PodDisruptionBudget")

    for name, budget in budgets.items():
        assert {"minAvailable", "maxUnavailable"} & budget["spec"].keys() == {"maxUnavailable"}, (
            name
        )
    for worker in any_stack.airflow.workers:
        guarding = [
            budget["spec"]
            for budget in budgets.values()
            if budget["spec"]["selector"]["matchLabels"].items() <= worker.labels.items()
        ]
        assert [budget["maxUnavailable"] for budget in guarding] == [1], (
            "Kubernetes does not evict a pod with two budgets"
        )


@pytest.mark.parametrize(("name", "number"), [("local", 1), ("dev", 1), ("prod", 2)])
def test_components_have_the_replicas_of_the_settings(render, name, number):
    deployments = render(name).airflow.all("Deployment")

    for component in ("scheduler", "api-server", "dag-processor", "triggerer"):
        assert deployments[f"airflow-{component}"]["spec"]["replicas"] == number, component


def test_keda_is_installed_only_for_scaling_by_queue(render):
    assert render("local").keda is render("cpu").keda is render("fixed").keda is None
    assert render("existing-keda").keda is None, "two installations of KEDA conflict"
    assert render("existing-keda").airflow.all("ScaledObject")


@pytest.mark.parametrize("name", ["dev", "queue-from-zero"])
def test_keda_watches_airflow_and_reads_its_connection(render, name):
    manifests = render(name).keda
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
def test_keda_is_installed_after_its_namespaces(render, name):
    snapshot = render(name).snapshot
    release = snapshot.one("kubernetes:helm.sh/v3:Release", "keda-release")
    before = snapshot.waits_for(release.urn)
    existing = {"kube-system"} | {
        n.inputs["metadata"]["name"]
        for n in snapshot.all("kubernetes:core/v1:Namespace")
        if n.urn in before
    }

    written = {
        o["metadata"]["namespace"]
        for o in render(name).keda.objects
        if "namespace" in o["metadata"]
    }
    assert written <= existing, "Helm fails without the namespace: let keda-release depend on it"


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_keda_mounts_the_rds_certificates_of_its_url(render, name):
    operator = render(name).keda.pod("keda-operator")
    (container,) = operator.containers
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    files = {
        f"{mounts[volume['name']]}/{key}"
        for volume in operator.spec["volumes"]
        if "configMap" in volume
        for key in render(name).contents("ConfigMap", "keda")[volume["configMap"]["name"]]
    }
    url = render(name).contents("Secret", "airflow")["airflow-keda"]["connection"].value

    assert url.partition("sslrootcert=")[2] in files


def test_postgresql_admits_keda(render):
    snapshot = render("queue-from-zero").snapshot
    policy = snapshot.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", "database-clients")
    namespace = snapshot.one("kubernetes:core/v1:Namespace", "keda-namespace")
    (rule,) = policy.inputs["spec"]["ingress"]

    admitted = [
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], pod.name)
        for peer in rule["from"]
        for pod in render("queue-from-zero").keda.pods
        if "namespaceSelector" in peer
        and peer["podSelector"]["matchLabels"].items() <= pod.labels.items()
    ]
    assert admitted == [(namespace.inputs["metadata"]["name"], "keda-operator")]


def test_workers_consume_only_their_queue(render):
    taken = {
        pod.name: " ".join(pod.container("worker")["args"][6:])
        for pod in render("queues").airflow.workers
    }

    assert {name: args.partition(" -q ")[2] for name, args in taken.items()} == {
        "airflow-worker-default-queue": "",  # default_queue of Airflow
        **{f"airflow-worker-{queue}": queue for queue in ("etl", "ml", "slow")},
    }


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"])
def test_selectors_of_a_queue_match_only_its_workers(any_stack, kind):
    def selector(resource):
        spec = resource["spec"]
        found = spec.get("selector") or spec["podSelector"]
        return found.get("matchLabels", found).items()

    resources = any_stack.airflow.all(kind).values()
    workers = any_stack.airflow.workers
    for worker in workers:
        selecting = [r for r in resources if selector(r) <= worker.labels.items()]
        assert len(selecting) == 1, (
            f"{worker.name}: selected twice; two autoscalers or budgets block each other"
        )
        (resource,) = selecting
        assert [w.name for w in workers if selector(resource) <= w.labels.items()] == [worker.name]


def test_each_queue_has_its_own_scaling(render):
    manifests = render("queues").airflow
    scaled, by_cpu = manifests.all("ScaledObject"), manifests.all("HorizontalPodAutoscaler")

    assert sorted(scaled) == ["airflow-worker-default-queue", "airflow-worker-etl"]
    assert list(by_cpu) == ["airflow-worker-ml"]
    assert manifests.all("Deployment")["airflow-worker-slow"]["spec"]["replicas"] == 2
    for name, autoscaler in {**scaled, **by_cpu}.items():
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in manifests.all("Deployment")[name]["spec"]
    etl = scaled["airflow-worker-etl"]["spec"]
    assert (etl["minReplicaCount"], etl["maxReplicaCount"]) == (0, 6)


@pytest.mark.parametrize(
    ("name", "workers", "queue", "concurrency"),
    [
        ("queues", "airflow-worker-default-queue", "default", 8),
        ("queues", "airflow-worker-etl", "etl", 2),
        ("queue-on-existing", "airflow-worker-etl", "etl", 6),
    ],
)
def test_keda_divides_a_queue_s_tasks_by_concurrency(render, name, workers, queue, concurrency):
    (trigger,) = render(name).airflow.all("ScaledObject")[workers]["spec"]["triggers"]
    query = trigger["metadata"]["query"]

    assert f"ceil(COUNT(*) / {concurrency}.0)" in query
    assert "state='running' OR state='queued'" in query
    assert query.endswith(f"queue = '{queue}'")


@pytest.mark.parametrize(
    ("workers", "concurrency", "memory", "cpu", "grace"),
    [
        ("default-queue", None, "3072Mi", "1000m", 120),
        ("etl", "2", "8192Mi", "1000m", 600),
        ("ml", "8", "3072Mi", "1000m", 7200),
        ("slow", "8", "3072Mi", "2000m", 600),
    ],
)
def test_workers_have_the_size_of_their_queue(render, workers, concurrency, memory, cpu, grace):
    pod = render("queues").airflow.pod(f"airflow-worker-{workers}")
    container = pod.container("worker")
    environment = {e["name"]: e.get("value") for e in container["env"]}

    assert environment.get("AIRFLOW__CELERY__WORKER_CONCURRENCY") == concurrency
    assert container["resources"] == {
        "requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "10Gi"},
        "limits": {"memory": memory, "ephemeral-storage": "10Gi"},
    }
    assert pod.spec["terminationGracePeriodSeconds"] == grace
    assert pod.annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert container["livenessProbe"]["exec"]["command"]


@pytest.mark.parametrize("name", ["dev", "staging", "prod", "queues"])
def test_on_eks_each_queue_has_its_own_nodes(render, name):
    rendered = render(name)
    pools = {
        pool.inputs["metadata"]["name"]: pool.inputs["spec"]["template"]
        for pool in rendered.snapshot.all("kubernetes:karpenter.sh/v1:NodePool")
    }
    assert "taints" not in pools.pop("airflow-platform")["spec"]
    names = {queue: f"airflow-workers-{queue}" for queue in rendered.settings.all_queues}
    names["default"] = "airflow-workers"
    queues = rendered.settings.all_queues

    assert pools.keys() == set(names.values())
    for queue in queues:
        pod = rendered.airflow.pod(deployment(queue, queues))
        template = pools[names[queue]]
        assert pod.spec["nodeSelector"] == template["metadata"]["labels"], queue
        assert pod.spec["tolerations"] == template["spec"]["taints"], queue
        assert pod.annotations["karpenter.sh/do-not-disrupt"] == "true", queue
        (spread,) = pod.spec["topologySpreadConstraints"]
        labels = spread["labelSelector"]["matchLabels"].items()
        matched = [w.name for w in rendered.airflow.workers if labels <= w.labels.items()]
        assert matched == [pod.name], "the spread must count the workers of this queue only"
    others = [pod for pod in rendered.airflow.pods if pod not in rendered.airflow.workers]
    assert [pod.name for pod in others if pod.spec.get("tolerations")] == []
    taints = [str(template["spec"]["taints"]) for template in pools.values()]
    assert len(set(taints)) == len(taints), "workers of one queue would run on another's nodes"


def test_each_queue_has_its_own_service_account(render):
    accounts = {p.name: p.spec["serviceAccountName"] for p in render("queues").airflow.workers}

    assert accounts == {
        "airflow-worker-default-queue": "airflow-worker",
        **{f"airflow-worker-{queue}": f"airflow-worker-{queue}" for queue in ("etl", "ml", "slow")},
    }
    assert set(accounts.values()) <= render("queues").airflow.all("ServiceAccount").keys()


def test_a_new_queue_changes_only_workers_and_the_scheduler(render):
    before, after = (render(name).airflow for name in ("dev", "queues"))

    def others(manifests):
        return {
            (o["kind"], o["metadata"]["name"]): o
            for o in manifests.objects
            if "-worker" not in o["metadata"]["name"]
        }

    old, new = others(before), others(after)
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    assert changed == {("Deployment", "airflow-scheduler")}


def test_a_worker_does_not_wait_for_migrations(any_stack):
    for worker in any_stack.airflow.workers:
        names = {c["name"] for c in worker.spec.get("initContainers") or []}
        assert names <= {"git-sync-init"}, worker.name
