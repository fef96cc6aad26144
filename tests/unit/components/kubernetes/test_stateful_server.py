from dataclasses import replace

import pytest
from pulumi_kubernetes.core import v1 as core

from components.kubernetes.stateful_server import Sidecar, StatefulServer, StatefulServerArgs
from components.support import network_peers
from tests.unit.components.pods import SERVER, container, template

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
SERVICE = "kubernetes:core/v1:Service"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ARGS = StatefulServerArgs(
    namespace="airflow",
    image="example/server:1",
    command=["serve"],
    args=["--quiet"],
    env=[core.EnvVarArgs(name="MODE", value="test")],
    port=1234,
    user_id=70,
    group_id=71,
    data_path="/data",
    storage_gb=3,
    memory_mb=100,
    ready=["is", "ready"],
    files={"/etc/server": core.ConfigMapVolumeSourceArgs(name="server-config")},
    annotations={"checksum/server-config": "abc"},
    clients=[network_peers.pods({"may": "connect"})],
)


@pytest.fixture
def server(deploy):
    return lambda **args: deploy(lambda: StatefulServer("server", replace(ARGS, **args)))


def test_only_clients_may_connect_to_the_port(server):
    spec = server().one(POLICY).inputs["spec"]

    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": {"may": "connect"}}}],
            "ports": [{"port": 1234, "protocol": "TCP"}],
        }
    ]


def test_the_class_of_a_volume_may_change_without_losing_it(server):
    claim = server(storage_class="fast").one(CLAIM)

    assert claim.inputs["spec"]["storageClassName"] == "fast"
    assert claim.ignore_changes == ("spec.storageClassName",)


def test_service_and_policy_select_only_this_pod(server):
    snapshot = server()

    own = {"app.kubernetes.io/name": "server"}
    assert snapshot.one(SERVICE).inputs["spec"]["selector"] == own
    assert snapshot.one(POLICY).inputs["spec"]["podSelector"] == {"matchLabels": own}
    assert snapshot.one(SERVER).inputs["spec"]["selector"] == {"matchLabels": own}
    assert own.items() <= template(snapshot)["metadata"]["labels"].items()


@pytest.mark.parametrize("kind", [CLAIM, SERVICE, POLICY, SERVER])
def test_every_object_has_the_name_and_the_namespace(server, kind):
    metadata = server().one(kind).inputs["metadata"]

    assert (metadata["name"], metadata["namespace"]) == ("server", "airflow")
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "server",
        "app.kubernetes.io/part-of": "airflow-platform",
    }


def test_the_service_has_the_name_of_the_server(server):
    snapshot = server()

    assert snapshot.one(SERVICE).inputs["spec"]["ports"] == [{"port": 1234}]
    assert snapshot.one(SERVER).inputs["spec"]["serviceName"] == "server"
    assert container(snapshot)["ports"] == [{"containerPort": 1234}]


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_volume_survives_destroy(server, protect):
    assert server(protect=protect).one(CLAIM).protect is protect


def test_the_data_is_on_the_volume(server):
    snapshot = server()

    claim = snapshot.one(CLAIM).inputs
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "3Gi"}},
    }
    (data,) = [v for v in template(snapshot)["spec"]["volumes"] if v["name"] == "data"]
    assert data["persistentVolumeClaim"] == {"claimName": "server"}
    assert {"name": "data", "mountPath": "/data"} in container(snapshot)["volumeMounts"]
    assert snapshot.one(CLAIM).urn in snapshot.one(SERVER).depends_on


def test_the_claim_is_not_awaited(server):
    annotations = server().one(CLAIM).inputs["metadata"]["annotations"]

    assert annotations == {"pulumi.com/skipAwait": "true"}


def test_the_pod_meets_pod_security_restricted(server):
    assert template(server())["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 70,
        "runAsGroup": 71,
        "fsGroup": 71,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_container_cannot_gain_privileges(server):
    assert container(server())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_has_no_service_account_token(server):
    spec = template(server())["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_memory_request_equals_memory_limit(server):
    assert container(server())["resources"] == {
        "requests": {"cpu": "50m", "memory": "100Mi"},
        "limits": {"memory": "100Mi"},
    }


def test_the_container_runs_the_given_command(server):
    wanted = {
        "name": "server",
        "image": "example/server:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["serve"],
        "args": ["--quiet"],
        "env": [{"name": "MODE", "value": "test"}],
    }

    found = container(server())
    assert {key: found[key] for key in wanted} == wanted


def test_the_readiness_probe_runs_the_given_command(server):
    probe = container(server())["readinessProbe"]

    assert probe["exec"] == {"command": ["is", "ready"]}
    assert (probe["periodSeconds"], probe["timeoutSeconds"]) == (3, 3)


@pytest.mark.parametrize(
    ("after_start", "lifecycle"),
    [(["sh", "-c", "x"], {"postStart": {"exec": {"command": ["sh", "-c", "x"]}}}), (None, None)],
    ids=["given", "default"],
)
def test_hooks_run_only_if_given(server, after_start, lifecycle):
    assert container(server(after_start=after_start)).get("lifecycle") == lifecycle


def test_files_are_mounted_read_only_at_their_paths(server):
    files = {
        "/one": core.ConfigMapVolumeSourceArgs(name="first"),
        "/two": core.SecretVolumeSourceArgs(secret_name="second"),
    }
    snapshot = server(files=files)

    volumes = {v.pop("name"): v for v in template(snapshot)["spec"]["volumes"]}
    mounts = {m["mountPath"]: m for m in container(snapshot)["volumeMounts"]}
    assert volumes[mounts["/one"]["name"]] == {"configMap": {"name": "first"}}
    assert volumes[mounts["/two"]["name"]] == {"secret": {"secretName": "second"}}
    assert mounts["/one"]["readOnly"] is mounts["/two"]["readOnly"] is True


def test_checksums_and_do_not_disrupt_are_annotated(server):
    assert template(server())["metadata"]["annotations"] == {
        "checksum/server-config": "abc",
        "karpenter.sh/do-not-disrupt": "true",
    }


SIDECAR = Sidecar(
    name="sync",
    image="example/sync:2",
    command=["sync"],
    args=["--often"],
    env=[{"name": "FROM", "value": "there"}],
    port=4321,
    memory_mb=50,
    files={"/etc/sync": core.SecretVolumeSourceArgs(secret_name="login")},
    clients=[network_peers.pods({"may": "measure"})],
)


@pytest.fixture
def with_sidecar(server):
    snapshot = server(sidecars=[SIDECAR])
    first, second = template(snapshot)["spec"]["containers"]
    return snapshot, first, second


def test_a_sidecar_runs_its_own_command(with_sidecar):
    _, first, second = with_sidecar

    assert first["name"] == "server"
    wanted = {
        "name": "sync",
        "image": "example/sync:2",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sync"],
        "args": ["--often"],
        "env": [{"name": "FROM", "value": "there"}],
        "ports": [{"containerPort": 4321}],
    }
    assert {key: second[key] for key in wanted} == wanted
    assert second["resources"]["limits"] == {"memory": "50Mi"}
    assert second["securityContext"] == first["securityContext"]


def test_a_sidecar_shares_the_volume_but_not_the_files(with_sidecar):
    snapshot, first, second = with_sidecar

    assert {"name": "data", "mountPath": "/data"} in second["volumeMounts"]
    volumes = {v.pop("name"): v for v in template(snapshot)["spec"]["volumes"]}
    (mount,) = [m for m in second["volumeMounts"] if m["mountPath"] == "/etc/sync"]
    assert volumes[mount["name"]] == {"secret": {"secretName": "login"}}
    assert mount["readOnly"] is True
    assert "/etc/sync" not in [m["mountPath"] for m in first["volumeMounts"]]
    assert "/etc/server" not in [m["mountPath"] for m in second["volumeMounts"]]


@pytest.mark.parametrize(("read_only", "mounted"), [(False, None), (True, True)])
def test_a_read_only_sidecar_cannot_write_to_the_volume(server, read_only, mounted):
    snapshot = server(sidecars=[replace(SIDECAR, read_only=read_only)])

    volumes = [
        [m.get("readOnly") for m in c["volumeMounts"] if m["name"] == "data"]
        for c in template(snapshot)["spec"]["containers"]
    ]
    assert volumes == [[None], [mounted]]


def test_a_port_without_clients_is_closed(server):
    snapshot = server(sidecars=[replace(SIDECAR, clients=[])])

    (rule,) = snapshot.one(POLICY).inputs["spec"]["ingress"]
    assert rule["ports"] == [{"port": 1234, "protocol": "TCP"}], (
        "a rule without peers would admit everyone"
    )


def test_each_port_has_its_own_clients(with_sidecar):
    first, second = with_sidecar[0].one(POLICY).inputs["spec"]["ingress"]

    assert first["ports"] == [{"port": 1234, "protocol": "TCP"}]
    assert second == {
        "from": [{"podSelector": {"matchLabels": {"may": "measure"}}}],
        "ports": [{"port": 4321, "protocol": "TCP"}],
    }


def test_the_deployment_waits_for_the_given_time(server, wire):
    server(ready_minutes=7)

    timeouts = wire["server-server"].customTimeouts
    assert (timeouts.create, timeouts.update) == ("7m", "7m")
