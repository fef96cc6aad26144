"""The number of workers follows what the settings say, and no task is lost when it falls."""

import re

import pytest

from components.airflow import keda_role
from components.airflow.values import deployment
from settings import limits


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
    assert f"/ {concurrency}.0)" in trigger["metadata"]["query"], "tasks that one worker runs"
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


def test_workers_are_found_under_the_names_that_the_chart_gives_them(any_stack):
    queues = any_stack.settings.all_queues
    names = {queue: deployment(queue, queues) for queue in queues}

    assert sorted(names.values()) == sorted(pod.name for pod in any_stack.airflow.workers)
    for queue, settings in queues.items():
        scaled = names[queue] in any_stack.airflow.all("ScaledObject")
        assert scaled is (settings.scaling == "queue"), "`make drain` marks it"


def test_what_drains_a_queue_is_nothing_that_an_upgrade_knows(of):
    manifests = of("queues").airflow

    for scaled in manifests.all("ScaledObject").values():
        assert "annotations" not in scaled["metadata"]
    with_number = {n for n, d in manifests.all("Deployment").items() if "replicas" in d["spec"]}
    assert {n for n in with_number if "-worker" in n} == {"airflow-worker-slow"}, "scaling: fixed"


def test_what_a_pause_notes_on_the_scheduler_is_nothing_that_an_upgrade_knows(any_stack):
    scheduler = any_stack.airflow.all("Deployment")["airflow-scheduler"]

    assert "annotations" not in scheduler["metadata"]
    assert scheduler["spec"]["replicas"] == any_stack.settings.airflow.replicas.scheduler


# Of PostgreSQL, and of the table. Whatever else a query names, KEDA's user may not read.
WORDS = {"select", "ceil", "count", "filter", "case", "when", "then", "else", "end"}
WORDS |= {"from", "where", "or", "and"}
READABLE = {"task_instance", "state", "queue"}


def test_keda_asks_for_nothing_that_its_user_may_not_read(any_stack):
    for name, scaled in any_stack.airflow.all("ScaledObject").items():
        (trigger,) = scaled["spec"]["triggers"]
        query = re.sub(r"'[^']*'", "", trigger["metadata"]["query"].lower())
        assert set(re.findall(r"[a-z_]+", query)) - WORDS == READABLE, name
    granted = re.search(r"GRANT SELECT \((.+)\) ON (\w+)", keda_role.SCRIPT.read_text())
    assert {*granted[1].split(", "), granted[2]} == READABLE


def test_keda_s_user_is_made_wherever_keda_counts_and_nowhere_else(any_stack):
    jobs = any_stack.declaration.all("kubernetes:batch/v1:Job")

    assert len(jobs) == bool(any_stack.airflow.all("ScaledObject"))
    for job in jobs:
        pod = job.inputs["spec"]["template"]
        labels = pod["metadata"]["labels"].items()
        for kind in ("Service", "NetworkPolicy", "PodDisruptionBudget", "Deployment"):
            for name, thing in any_stack.airflow.all(kind).items():
                selector = thing["spec"].get("selector") or thing["spec"]["podSelector"]
                wanted = selector.get("matchLabels", selector).items()
                assert not wanted <= labels, f"{kind} {name} is not about it"
        images = {c["image"] for p in any_stack.airflow.workers for c in p.containers}
        assert pod["spec"]["containers"][0]["image"] in images


def test_sidecars_of_a_worker_request_no_more_than_its_nodes_are_counted_for(any_stack):
    for pod in any_stack.airflow.workers:
        requests = [
            container["resources"]["requests"]
            for container in pod.spec["containers"]
            if container["name"] != "worker"
        ]
        cpu = sum(int(r["cpu"].removesuffix("m")) for r in requests) / 1000
        memory_mb = sum(int(r["memory"].removesuffix("Mi")) for r in requests)
        counted = (limits.SIDECARS_CPU, limits.SIDECARS_MB)
        if any_stack.settings.dags.mode == "git-sync":
            assert (cpu, memory_mb) == counted
        else:
            assert (cpu, memory_mb) < counted, "there is no git-sync"


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
    ("name", "seconds"), [("local", 30), ("dev", 120), ("staging", 120), ("prod", 7200)]
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
    for worker in any_stack.airflow.workers:
        guarding = [
            budget["spec"]
            for budget in budgets.values()
            if budget["spec"]["selector"]["matchLabels"].items() <= worker.labels.items()
        ]
        assert [budget["maxUnavailable"] for budget in guarding] == [1], (
            "Kubernetes evicts no pod that has two budgets"
        )


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

    assert pool["metadata"]["name"] == "airflow-workers"
    assert worker.spec["nodeSelector"] == template["metadata"]["labels"]
    assert worker.spec["tolerations"] == [taint]
    assert worker.annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert [pod.name for pod in others if pod.spec.get("tolerations")] == []


def test_an_existing_cluster_has_no_nodes_for_workers_only(of):
    assert not of("local").airflow.pod("airflow-worker").spec.get("nodeSelector")


def test_keda_is_installed_for_the_queue_only(of):
    assert of("local").keda is of("cpu").keda is of("fixed").keda is None
    assert of("existing-keda").keda is None, "it would fight with the one that is there"
    assert of("existing-keda").airflow.all("ScaledObject")


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


QUEUES = {"default": "default-queue", "etl": "etl", "ml": "ml", "slow": "slow"}


def test_each_queue_has_workers_that_take_its_tasks_and_no_others(of):
    taken = {pod.name: pod.container("worker")["args"][-1] for pod in of("queues").airflow.workers}

    assert {name: args.partition(" -q ")[2] for name, args in taken.items()} == {
        "airflow-worker-default-queue": "",  # Airflow's own default_queue
        **{f"airflow-worker-{queue}": queue for queue in ("etl", "ml", "slow")},
    }


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"])
def test_what_selects_the_workers_of_a_queue_selects_those_of_no_other(any_stack, kind):
    def selector(thing):
        spec = thing["spec"]
        found = spec.get("selector") or spec["podSelector"]
        return found.get("matchLabels", found).items()

    things = any_stack.airflow.all(kind).values()
    workers = any_stack.airflow.workers
    for worker in workers:
        selecting = [t for t in things if selector(t) <= worker.labels.items()]
        assert len(selecting) == 1, (
            f"{worker.name}: two autoscalers that select a pod stop each other, two budgets keep it there"
        )
        (other,) = selecting
        assert [w.name for w in workers if selector(other) <= w.labels.items()] == [worker.name]


def test_each_queue_is_scaled_as_it_says(of):
    manifests = of("queues").airflow
    scaled, by_cpu = manifests.all("ScaledObject"), manifests.all("HorizontalPodAutoscaler")

    assert sorted(scaled) == ["airflow-worker-default-queue", "airflow-worker-etl"]
    assert list(by_cpu) == ["airflow-worker-ml"]
    assert manifests.all("Deployment")["airflow-worker-slow"]["spec"]["replicas"] == 2
    for name, thing in {**scaled, **by_cpu}.items():
        assert thing["spec"]["scaleTargetRef"]["name"] == name
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
def test_a_queue_gets_workers_for_its_own_tasks_by_what_one_of_them_runs(
    of, name, workers, queue, concurrency
):
    (trigger,) = of(name).airflow.all("ScaledObject")[workers]["spec"]["triggers"]
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
def test_workers_of_a_queue_are_as_large_as_it_says(of, workers, concurrency, memory, cpu, grace):
    pod = of("queues").airflow.pod(f"airflow-worker-{workers}")
    container = pod.container("worker")
    environment = {e["name"]: e.get("value") for e in container["env"]}

    assert environment.get("AIRFLOW__CELERY__WORKER_CONCURRENCY") == concurrency
    assert container["resources"] == {
        "requests": {"cpu": cpu, "memory": memory},
        "limits": {"memory": memory},
    }
    assert pod.spec["terminationGracePeriodSeconds"] == grace
    assert pod.annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert container["livenessProbe"]["exec"]["command"]


def test_on_eks_the_workers_of_each_queue_have_nodes_for_themselves(of):
    declaration, manifests = of("queues").declaration, of("queues").airflow
    pools = {
        pool.inputs["metadata"]["name"]: pool.inputs["spec"]["template"]
        for pool in declaration.all("kubernetes:karpenter.sh/v1:NodePool")
    }
    names = ["airflow-workers", *(f"airflow-workers-{queue}" for queue in ("etl", "ml", "slow"))]

    assert sorted(pools) == sorted(names)
    for name, (queue, worker_set) in zip(names, QUEUES.items(), strict=True):
        pod = manifests.pod(f"airflow-worker-{worker_set}")
        assert pod.spec["nodeSelector"] == pools[name]["metadata"]["labels"], queue
        assert pod.spec["tolerations"] == pools[name]["spec"]["taints"], queue
        (spread,) = pod.spec["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"].items() <= pod.labels.items()
        assert spread["labelSelector"]["matchLabels"]["worker-set"] == worker_set
    others = [pod for pod in manifests.pods if pod not in manifests.workers]
    assert [pod.name for pod in others if pod.spec.get("tolerations")] == []
    taints = [str(template["spec"]["taints"]) for template in pools.values()]
    assert len(set(taints)) == len(taints), "workers of one queue would fill the nodes of another"


def test_each_queue_has_an_account_of_its_own_and_default_keeps_the_one_that_it_had(of):
    accounts = {p.name: p.spec["serviceAccountName"] for p in of("queues").airflow.workers}

    assert accounts == {
        "airflow-worker-default-queue": "airflow-worker",
        **{f"airflow-worker-{queue}": f"airflow-worker-{queue}" for queue in ("etl", "ml", "slow")},
    }
    assert set(accounts.values()) <= of("queues").airflow.all("ServiceAccount").keys()


def test_another_queue_changes_only_workers_and_the_scheduler(of):
    before, after = (of(name).airflow for name in ("dev", "queues"))

    def others(manifests):
        return {
            (o["kind"], o["metadata"]["name"]): o
            for o in manifests.objects
            if "-worker" not in o["metadata"]["name"]
        }

    old, new = others(before), others(after)
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    assert changed == {("Deployment", "airflow-scheduler")}


def test_a_worker_starts_at_once_and_waits_for_no_migration(any_stack):
    for worker in any_stack.airflow.workers:
        names = {c["name"] for c in worker.spec.get("initContainers") or []}
        assert names <= {"git-sync-init"}, worker.name
