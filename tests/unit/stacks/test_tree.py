"""Structure of the resource tree: components, names, providers, order."""

import signal

import pytest
import yaml

from ops import stack_files
from ops.plan.mock_engine import STACK_TYPE
from policies.view import at
from tests.unit.stacks.committed import STACKS, every_stack, find, names

# Namespaces that are not Airflow's; None: objects without a namespace.
OTHER_NAMESPACES = {"kube-system", "keda", None}


def test_the_committed_stacks_are_known():
    assert tuple(stack_files.stack_names()) == STACKS


@every_stack
def test_settings_read_alone_equal_those_of_the_program(stack, name):
    assert stack_files.read_settings(name) == stack(name)[1]


def test_ctrl_c_works_after_a_command_ran_the_program():
    """Pulumi replaces the handler while the program runs."""
    # In the background, the shell ignores SIGINT: set a handler first.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stack_files.run_stack("local")

        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@every_stack
def test_only_components_are_at_the_root(snapshot, name):
    found = snapshot(name).resources

    at_root = {r.name: r.type for r in found.values() if r.parent.split("::")[2] == STACK_TYPE}
    assert {n: t for n, t in at_root.items() if not t.startswith("airflow:")} == {}
    assert {r.parent for r in found.values() if r.name not in at_root} <= found.keys()


def test_the_types_of_components_never_change(snapshot, program):
    second = {"replicate_to": "eu-central-1"}
    every = [*map(snapshot, STACKS), program("prod", database=second, logs=second)]
    types = {r.type for each in every for r in each.resources.values()}

    assert {t for t in types if t.startswith("airflow:")} == {
        "airflow:aws:Cluster",
        "airflow:aws:Database",
        "airflow:aws:FlowLogs",
        "airflow:aws:LogReplica",
        "airflow:aws:Logs",
        "airflow:aws:Network",
        "airflow:aws:Nodes",
        "airflow:aws:RecoveryRegion",
        "airflow:k8s:Airflow",
        "airflow:k8s:AirflowSecrets",
        "airflow:k8s:DagRelay",
        "airflow:k8s:DatabaseBackup",
        "airflow:k8s:DatabaseContainer",
        "airflow:k8s:ExistingCluster",
        "airflow:k8s:GitServer",
        "airflow:k8s:Keda",
        "airflow:k8s:KedaRole",
        "airflow:k8s:LoadBalancer",
        "airflow:k8s:Namespace",
        "airflow:k8s:Redis",
        "airflow:k8s:StatefulServer",
        "airflow:k8s:TaskKeeper",
    }, "the type is part of every URN: another type replaces all resources of the component"


@every_stack
def test_resource_names_start_with_their_component(snapshot, name):
    for resource in snapshot(name).resources.values():
        _, _, kind, parent = resource.parent.split("::")
        assert kind == STACK_TYPE or resource.name.startswith(parent)


@every_stack
def test_kubernetes_resources_use_the_provider_of_the_stack(snapshot, name):
    found = snapshot(name)

    provider = found.one("pulumi:providers:kubernetes").urn
    others = [
        r.name
        for r in found.resources.values()
        if r.type.startswith("kubernetes:") and r.provider.rpartition("::")[0] != provider
    ]
    assert others == []


@every_stack
def test_default_providers_are_off_and_aws_has_a_region(snapshot, name):
    config = yaml.safe_load((stack_files.ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    uses_aws = any(r.type.startswith("aws:") for r in snapshot(name).resources.values())

    expected = {"kubernetes"} if uses_aws else {"kubernetes", "aws"}
    assert expected <= set(config["pulumi:disable-default-providers"]), (
        "the default provider of Kubernetes uses the current context of kubectl"
    )
    assert uses_aws is ("aws:region" in config) is (name != "local"), "local needs no AWS account"


@every_stack
def test_resources_of_a_namespace_wait_for_it(snapshot, name):
    found = snapshot(name)

    namespace = find(found, "Namespace namespace-namespace").urn
    inside = [
        r
        for r in found.resources.values()
        if at(r.inputs, "metadata.namespace") not in OTHER_NAMESPACES
        or r.inputs.get("namespace") == "airflow"
    ]
    assert len(inside) > 15
    assert [r.name for r in inside if namespace not in found.waits_for(r.urn)] == []


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("local", "StatefulSet database-server"),
        ("local", "StatefulSet git-server-server"),
        ("local", "StatefulSet redis-server"),
        ("local", "NetworkPolicy namespace-deny-ingress"),
        ("prod", "Instance database-instance"),
        ("prod", "SecurityGroupIngressRule database-from-clients"),
        ("prod", "StatefulSet redis-server"),
        ("prod", "Release keda-release"),
        ("prod", "NodePool nodes-pool"),
        ("prod", "NodePool nodes-platform"),
        ("prod", "StorageClass"),
        ("prod", "IngressClass"),
        ("prod", "PodIdentityAssociation logs-airflow-worker"),
        ("prod", "PodIdentityAssociation logs-airflow-triggerer"),
        ("prod", "PodIdentityAssociation logs-airflow-api-server"),
        ("prod", "RolePolicy logs-airflow-worker"),
        ("prod", "BucketPublicAccessBlock"),
        ("prod", "Addon"),
    ],
)
def test_the_airflow_release_waits_for_what_it_needs(snapshot, name, needed):
    found = snapshot(name)

    release = find(found, "Release airflow-release").urn
    assert find(found, needed).urn in found.waits_for(release)


@pytest.mark.parametrize(
    ("name", "layers", "parts"),
    [
        ("local", ["airflow.yaml", "local.yaml"], {"git-server"}),
        ("prod", ["airflow.yaml", "database-tls.yaml", "aws.yaml"], {"keda", "load-balancer"}),
    ],
)
def test_a_stack_has_the_parts_of_its_settings(snapshot, name, layers, parts):
    found = snapshot(name)

    assert names(found) & {"git-server", "keda", "load-balancer"} == parts
    files = find(found, "Release airflow-release").inputs["valueYamlFiles"]
    assert [f["path"].rpartition("/")[2] for f in files] == layers


@every_stack
def test_the_stack_name_decides_nothing(snapshot, program, name):
    other = "dev" if name == "prod" else "prod"
    renamed = program(name, called=other)

    def without_names(found):
        return {
            (r.type, r.name, r.protect, str(r.inputs).replace(name, "X").replace(other, "X"))
            for r in found.resources.values()
        }

    assert without_names(renamed) == without_names(snapshot(name))
