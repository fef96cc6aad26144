"""Pods have minimal privileges, pinned images and closed networks."""

import json
import re

import pytest

from components.aws import logs
from components.kubernetes import load_balancer
from components.support.hardened_pod import IN_POD
from settings.images import Mirror
from settings.versions import GIT_SYNC_IMAGE

ALLOWED_VOLUMES = {"configMap", "emptyDir", "secret", "projected", "downwardAPI"}


def _pods(rendered):
    return rendered.airflow.pods + (rendered.keda.pods if rendered.keda else [])


def _violations(pod, container):
    """Violations of https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    own = container.get("securityContext", {})
    effective = {**pod.spec.get("securityContext", {}), **own}
    capabilities = own.get("capabilities", {})
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield "runs as root"
    if effective.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "allows privilege escalation"
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "uses a host port"


def test_every_container_meets_pod_security_restricted(any_stack):
    violations = [
        f"{pod.name} {container['name']}: {violation}"
        for pod in _pods(any_stack)
        for container in pod.containers
        for violation in _violations(pod, container)
    ]

    assert violations == [], (
        "the namespace rejects such a pod: set its securityContexts in values/airflow.yaml"
    )


def test_every_pod_logs_in_to_the_private_registry(render):
    pods = _pods(render("pull-secret"))

    assert len(pods) > 10
    for pod in pods:
        assert pod.spec["imagePullSecrets"] == [{"name": "registry"}], pod.name


def test_no_pod_uses_its_node(any_stack):
    for pod in _pods(any_stack):
        kinds = {kind for volume in pod.spec.get("volumes", []) for kind in volume} - {"name"}
        assert kinds <= ALLOWED_VOLUMES, pod.name
        shared = [pod.spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")]
        assert not any(shared), pod.name


def test_every_container_has_resource_requests(any_stack):
    missing = [
        f"{pod.name} {container['name']}: {resource}"
        for pod in _pods(any_stack)
        for container in pod.containers
        for resource in ("cpu", "memory")
        if not container.get("resources", {}).get("requests", {}).get(resource)
    ]

    assert missing == [], (
        "set resources.requests in values/airflow.yaml or components/airflow/values.py"
    )


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("local", "apache/airflow:3.3.2"),
        ("prod", "apache/airflow:3.3.2"),
        ("cached", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/airflow-dev/apache/airflow:3.3.2"),
        ("own-image", f"registry.example/airflow@sha256:{'0a' * 32}"),
    ],
)
def test_all_pods_run_the_image_of_the_settings(render, name, image):
    images = {c["image"] for pod in render(name).airflow.pods for c in pod.containers}

    assert {i for i in images if not re.search("/(git-sync|statsd-exporter):v", i)} == {image}


def test_every_image_is_pulled_from_the_registry(render):
    """Also those of this program: tests/unit/settings/test_images.py."""
    pods = _pods(render("registry"))
    found = {container["image"] for pod in pods for container in pod.containers}
    mirror = Mirror(registry="registry.example.com/mirror")

    listed = {mirror.copy_of(image) for image in render("dev").settings.all_images}
    assert found - listed == set(), "`make images` lists every image"
    assert len(found) == 5, "Airflow, git-sync, statsd and two of KEDA"


def test_git_sync_has_the_digest_of_the_settings(render):
    images = {c["image"] for pod in render("own-image").airflow.pods for c in pod.containers}

    assert {image for image in images if "git-sync" in image} == {
        f"{GIT_SYNC_IMAGE}@sha256:{'0b' * 32}"
    }


def test_every_image_is_pinned(any_stack):
    for pod in _pods(any_stack):
        for container in pod.containers:
            version = re.search(
                r"(:v?\d+\.\d+\.\d+(b\d+)?|@sha256:[0-9a-f]{64})$", container["image"]
            )
            assert version, f"{pod.name}: pin {container['image']} to a version or digest"


def test_no_pod_of_airflow_mounts_a_kubernetes_token(any_stack):
    accounts = any_stack.airflow.all("ServiceAccount")
    for pod in any_stack.airflow.pods:
        if pod.spec["serviceAccountName"] == "airflow-worker-pods":
            continue  # of a queue with pod_operator
        account = accounts[pod.spec["serviceAccountName"]]
        from_account = account.get("automountServiceAccountToken")
        assert pod.spec.get("automountServiceAccountToken", from_account) is False, (
            f"{pod.name}: set automountServiceAccountToken to false in values/airflow.yaml"
        )


def test_workers_with_the_pod_operator_have_its_login(render):
    (pod,) = (p for p in render("pods").airflow.workers if "pods" in p.name)
    accounts = render("pods").airflow.all("ServiceAccount")

    account = accounts[pod.spec["serviceAccountName"]]
    assert account["automountServiceAccountToken"] is True
    env = {e["name"]: e.get("value") for e in pod.container("worker")["env"]}
    connection = json.loads(env["AIRFLOW_CONN_KUBERNETES_DEFAULT"])
    assert connection["extra"] == {"in_cluster": True, "namespace": "airflow-tasks"}
    assert pod.container("worker")["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_no_account_of_airflow_has_kubernetes_permissions(any_stack):
    roles = [o for o in any_stack.airflow.objects if o["kind"] in ("Role", "ClusterRole")]

    assert [rule for role in roles for rule in role["rules"]] == [], (
        "set allowPodLaunching and the like to false in values/airflow.yaml"
    )


def test_accounts_with_access_to_the_log_bucket_are_in_use(any_stack):
    accounts = {
        pod.spec["serviceAccountName"] for pod in any_stack.airflow.pods if pod.kind == "Deployment"
    }

    assert accounts >= logs.ACTIONS.keys()
    allowed = {
        a.inputs["serviceAccount"]
        for a in any_stack.snapshot.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    workers = {pod.spec["serviceAccountName"] for pod in any_stack.airflow.workers}
    assert allowed in (set(), workers | logs.ACTIONS.keys()), (
        "list every account of a worker in components/aws/logs.py"
    )
    assert any_stack.airflow.all("ServiceAccount").keys() >= accounts


def test_no_environment_variable_is_set_twice(any_stack):
    for pod in any_stack.airflow.pods:
        for container in pod.containers:
            names = [e["name"] for e in container.get("env", [])]
            assert sorted(set(names)) == sorted(names), f"{pod.name} {container['name']}"


def test_no_network_policy_admits_all_sources(any_stack):
    for name, policy in any_stack.airflow.all("NetworkPolicy").items():
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from"), f"{name}: a rule without `from` admits every source"
            assert rule.get("ports"), f"{name}: a rule without `ports` admits every port"
            for peer in rule["from"]:
                (selected,) = peer.values()
                labels_or_cidr = selected.get("matchLabels") or selected.get("cidr")
                assert labels_or_cidr not in (None, "0.0.0.0/0"), f"{name}: {peer}"


def test_pods_have_the_labels_that_policies_admit(any_stack):
    """The policies of Redis, PostgreSQL, the Git server and the API server."""
    for pod in any_stack.airflow.pods:
        assert pod.labels.items() >= {"tier": "airflow", "release": "airflow"}.items(), pod.name


@pytest.mark.parametrize(
    ("name", "others"), [("dev", []), ("prod", [{"ipBlock": {"cidr": "10.2.0.0/16"}}])]
)
def test_the_api_server_admits_airflow_and_the_load_balancer(render, name, others):
    rule = _only_rule(render(name), "airflow-api-server")

    pods = {"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}
    assert rule["from"] == [pods, *others]
    assert [port["port"] for port in rule["ports"]] == [8080]


def test_only_the_api_server_reads_logs_from_a_worker(any_stack):
    for worker in any_stack.airflow.workers:
        rule = _only_rule(any_stack, worker.name)
        ports = worker.container("worker")["ports"]

        (peer,) = rule["from"]
        admitted = peer["podSelector"]["matchLabels"].items()
        names = {pod.name for pod in any_stack.airflow.pods if admitted <= pod.labels.items()}
        assert names == {"airflow-api-server"}
        (log_port,) = [p["containerPort"] for p in ports if p["name"] == "worker-logs"]
        assert [port["port"] for port in rule["ports"]] == [log_port]


def _only_rule(rendered, pod):
    """The only ingress rule of the only policy that selects that pod."""
    labels = rendered.airflow.pod(pod).labels.items()
    policies = [
        policy["spec"]
        for policy in rendered.airflow.all("NetworkPolicy").values()
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    ]
    (policy,) = policies
    (rule,) = policy["ingress"]
    return rule


def test_without_ingress_nothing_is_exposed(render):
    for name in ("local", "dev"):
        assert render(name).airflow.all("Ingress") == {}
        services = render(name).airflow.all("Service").values()
        assert {s["spec"].get("type", "ClusterIP") for s in services} == {"ClusterIP"}


def test_the_load_balancer_routes_https_to_the_api_server(render):
    (ingress,) = render("prod").airflow.all("Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    target = path["backend"]["service"]
    service = render("prod").airflow.all("Service")[target["name"]]["spec"]
    annotations = ingress["metadata"]["annotations"]

    assert ingress["spec"]["ingressClassName"] == load_balancer.CLASS
    assert rule["host"] == "airflow.example.com"
    assert (path["path"], path["pathType"]) == ("/", "Prefix"), "with Exact, ALB serves only `/`"
    assert target["port"]["name"] in [port["name"] for port in service["ports"]]
    pod = render("prod").airflow.pod("airflow-api-server")
    assert service["selector"].items() <= pod.labels.items()
    prefix = "alb.ingress.kubernetes.io"
    assert annotations[f"{prefix}/inbound-cidrs"] == "10.0.0.0/8"
    assert annotations[f"{prefix}/listen-ports"] == '[{"HTTPS": 443}]'
    assert annotations[f"{prefix}/target-type"] == "ip", "the Service has no node port"
    assert annotations[f"{prefix}/healthcheck-path"] == "/api/v2/monitor/health"


def test_only_the_load_balancer_may_set_proxy_headers(render):
    public_server, local_server = (
        render(name).airflow.pod("airflow-api-server").container("api-server")
        for name in ("prod", "dev")
    )

    assert public_server["args"][-1] == "exec airflow api-server --proxy-headers"
    assert {"name": "FORWARDED_ALLOW_IPS", "value": "10.2.0.0/16"} in public_server["env"]
    assert "FORWARDED_ALLOW_IPS" not in [e["name"] for e in local_server["env"]]


def test_finished_jobs_are_deleted_before_the_next_upgrade(any_stack):
    for name, job in any_stack.airflow.all("Job").items():
        assert job["spec"]["ttlSecondsAfterFinished"] == 60, (
            f"{name}: an upgrade cannot change a Job that still exists"
        )


def test_the_database_is_cleaned_up_every_week(any_stack):
    (job,) = any_stack.airflow.all("CronJob").values()
    spec = job["spec"]
    container = any_stack.airflow.pod("airflow-database-cleanup").container("database-cleanup")
    program, days = container["args"][2:]

    assert re.fullmatch(r"[0-5]?\d ([01]?\d|2[0-3]) \* \* [0-6]", spec["schedule"])
    assert spec["concurrencyPolicy"] == "Forbid", "two concurrent cleanups lock each other's rows"
    assert container["args"][:2] == ["python", "-c"]
    assert program == (IN_POD / "database_cleanup.py").read_text(), "Helm must change nothing in it"
    assert days == "90"


def test_helm_changes_nothing_in_the_dag_processor(any_stack):
    container = any_stack.airflow.pod("airflow-dag-processor").container("dag-processor")

    assert container["args"] == ["python", "-c", (IN_POD / "dag_processor.py").read_text()]
