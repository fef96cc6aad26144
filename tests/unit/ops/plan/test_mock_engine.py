import json
import time

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s
import pulumi_random as random
import pytest
from pulumi.runtime.config import is_config_secret

from ops.plan import mock_engine
from ops.plan.mock_engine import Secret

VPC = "aws:ec2/vpc:Vpc"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
CONFIG = "kubernetes:core/v1:ConfigMap"
PROVIDER = "pulumi:providers:kubernetes"
BOX = "test:index:Box"
REGION = "aws:index/getRegion:getRegion"


class Box(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__(BOX, name, None, opts)


def generated(name="login"):
    return random.RandomPassword(name, length=32, keepers={"generation": "1"}).result


def test_a_generated_password_is_a_known_secret(deploy):
    exports = deploy(lambda: pulumi.export("password", generated())).exports

    assert exports == {"password": Secret("login-1")}


@pytest.mark.parametrize(
    ("derive", "value"),
    [
        (lambda word: pulumi.Output.concat("redis://:", word), "redis://:login-1"),
        (lambda word: pulumi.Output.format("{}!", word), "login-1!"),
        (lambda word: word.apply(lambda known: known.upper()), "LOGIN-1"),
        (lambda word: pulumi.Output.all("a", word).apply(",".join), "a,login-1"),
    ],
)
def test_a_value_derived_from_a_secret_is_secret(deploy, derive, value):
    def program():
        k8s.core.v1.ConfigMap("config", data={"open": "yes", "word": derive(generated())})

    data = deploy(program).one(CONFIG).inputs["data"]
    assert data["word"] == Secret(value)


def test_a_configured_secret_stays_secret(deploy):
    def program():
        config = pulumi.Config()
        pulumi.export("token", config.require_secret("token"))
        pulumi.export("region", config.require("region"))
        pulumi.export("marked", [is_config_secret(key) for key in given])

    given = {"airflow-platform:token": "hunter2", "airflow-platform:region": "eu-west-1"}
    exports = deploy(program, config=given, secret_keys=["airflow-platform:token"]).exports
    assert exports == {
        "token": Secret("hunter2"),
        "region": "eu-west-1",
        "marked": [True, False],
    }


def test_a_nested_secret_is_printed_as_a_mark():
    assert repr({"data": [Secret("hunter2")]}) == "{'data': [[secret]]}"
    assert f"{Secret('hunter2')}" == "[secret]"


def test_a_secret_map_shows_its_keys_only(deploy):
    secret = deploy(lambda: k8s.core.v1.Secret("s", string_data={"password": "hunter2"})).one(
        "kubernetes:core/v1:Secret"
    )

    assert secret.inputs["stringData"] == {"password": Secret("hunter2")}


def test_inputs_are_recorded_as_passed(deploy):
    def program():
        k8s.apiextensions.CustomResource(
            "custom",
            api_version="example.com/v1",
            kind="Custom",
            spec={"whole": 3, "half": 0.5, "on": True, "list": [1, {"deep": 2}], "text": "3"},
        )

    spec = deploy(program).one("kubernetes:example.com/v1:Custom").inputs["spec"]
    assert spec == {"whole": 3, "half": 0.5, "on": True, "list": [1, {"deep": 2}], "text": "3"}
    assert json.dumps(spec["whole"]) == "3", "an integer must not become a float"


@pytest.mark.parametrize("protect", [True, False])
def test_protection_is_recorded(deploy, protect):
    opts = pulumi.ResourceOptions(protect=protect, delete_before_replace=protect)
    vpc = deploy(lambda: aws.ec2.Vpc("vpc", opts=opts)).one(VPC)

    assert vpc.protect is protect
    assert vpc.delete_before_replace is protect


def test_parent_and_children_are_recorded(deploy):
    def program():
        in_box = pulumi.ResourceOptions(parent=Box("box"))
        for name in ("b", "c", "a"):
            aws.ec2.Vpc(name, opts=in_box)
        aws.ec2.Vpc("outside")

    snapshot = deploy(program)
    box = snapshot.one(BOX)
    assert [child.name for child in snapshot.children(box.urn)] == ["a", "b", "c"]
    assert snapshot.one(VPC, "a").parent == box.urn
    assert snapshot.one(VPC, "outside").parent == box.parent, "the stack is the parent of both"


def test_children_inherit_the_recorded_provider(deploy):
    def program():
        provider = k8s.Provider("way-in", context="kind-airflow")
        box = Box("box", pulumi.ResourceOptions(provider=provider))
        k8s.core.v1.ConfigMap("inside", data={}, opts=pulumi.ResourceOptions(parent=box))
        k8s.core.v1.ConfigMap("stray", data={})

    snapshot = deploy(program)
    way_in = snapshot.one(PROVIDER)
    assert snapshot.one(CONFIG, "inside").provider.startswith(f"{way_in.urn}::")
    assert snapshot.one(CONFIG, "stray").provider == ""


def test_explicit_and_implicit_dependencies_are_recorded(deploy):
    def program():
        first = aws.ec2.Vpc("first")
        second = aws.ec2.Vpc("second")
        opts = pulumi.ResourceOptions(depends_on=[second])
        aws.ec2.InternetGateway("gateway", vpc_id=first.id, opts=opts)

    snapshot = deploy(program)
    gateway = snapshot.one(GATEWAY)
    assert gateway.depends_on == {
        snapshot.one(VPC, "first").urn,
        snapshot.one(VPC, "second").urn,
    }
    assert gateway.inputs["vpcId"] == "first-id"


def test_an_input_of_a_remote_component_is_a_dependency(deploy):
    def program():
        role = aws.iam.Role("role", assume_role_policy="{}")
        eks.Cluster("eks", service_role=role)

    snapshot = deploy(program)
    role = snapshot.one("aws:iam/role:Role").urn
    assert role in snapshot.one("eks:index:Cluster").depends_on


def test_dependencies_are_transitive_across_parents(deploy):
    def program():
        kms = aws.kms.Key("key")
        box = Box("box", pulumi.ResourceOptions(depends_on=[kms]))
        in_box = pulumi.ResourceOptions(parent=box)
        vpc = aws.ec2.Vpc("vpc")
        gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id)
        provider = k8s.Provider("way-in", context=gateway.id, opts=in_box)
        with_provider = pulumi.ResourceOptions(provider=provider)
        config = k8s.core.v1.ConfigMap("config", data={}, opts=with_provider)
        last = pulumi.ResourceOptions(parent=Box("other"), depends_on=[config])
        k8s.core.v1.ConfigMap("last", data={}, opts=last)
        aws.ec2.Vpc("unrelated")

    snapshot = deploy(program)

    def waits_for(name):
        urns = snapshot.waits_for(snapshot.one(CONFIG, name).urn)
        return {snapshot.resources[urn].name for urn in urns}

    before_config = {"way-in", "gateway", "vpc", "box", "key"}
    assert waits_for("config") == before_config
    assert waits_for("last") == {"other", "config"} | before_config


def test_exports_are_recorded_for_each_run(deploy):
    deploy(lambda: pulumi.export("old", "1"))
    exports = deploy(lambda: pulumi.export("new", {"deep": [1, generated()]})).exports

    assert exports == {"new": {"deep": [1, Secret("login-1")]}}


def test_the_exports_of_the_stack_are_registered_once(deploy, monkeypatch):
    """`pulumi.runtime.set_mocks` also registers empty exports: under load they may arrive last."""
    registered = []
    register = mock_engine._Monitor.RegisterResourceOutputs

    def delay_empty_exports(monitor, request):
        registered.append(dict(request.outputs))
        time.sleep(0 if request.outputs else 0.1)
        return register(monitor, request)

    monkeypatch.setattr(mock_engine._Monitor, "RegisterResourceOutputs", delay_empty_exports)
    exports = deploy(lambda: pulumi.export("url", "http://airflow")).exports

    assert exports == {"url": "http://airflow"}
    assert registered == [exports], "a second registration races with this one"


def test_an_eks_cluster_returns_its_child_cluster(deploy):
    def program():
        cluster = eks.Cluster("eks")
        group = cluster.eks_cluster.vpc_config.cluster_security_group_id
        aws.eks.Addon("addon", cluster_name=cluster.eks_cluster.name, addon_name="metrics-server")
        pulumi.export("group", group)

    snapshot = deploy(program)
    addon = snapshot.one("aws:eks/addon:Addon")
    assert addon.inputs["clusterName"] == "eks"
    assert snapshot.exports == {"group": "eks-cluster-security-group"}
    assert snapshot.one("eks:index:Cluster").urn in snapshot.waits_for(addon.urn)


def test_a_lookup_with_an_entry_is_answered(deploy):
    def program():
        zones = aws.get_availability_zones_output(state="available")
        aws.ec2.Subnet("subnet", vpc_id="vpc-1", availability_zone=zones.names[1])

    subnet = deploy(program).one("aws:ec2/subnet:Subnet")
    assert subnet.inputs["availabilityZone"] == "eu-west-1b"


@pytest.mark.parametrize(
    "look_up", [aws.get_region, lambda: pulumi.export("region", aws.get_region_output().name)]
)
def test_a_lookup_without_an_entry_fails_by_name(deploy, look_up):
    with pytest.raises(KeyError, match=REGION):
        deploy(lambda: look_up() and None)


def test_two_resources_of_one_type_and_name_fail(deploy):
    with pytest.raises(ValueError, match=r"two resources are named urn:.*:Vpc::vpc$"):
        deploy(lambda: aws.ec2.Vpc("vpc") and aws.ec2.Vpc("vpc") and None)


def test_two_types_may_share_a_name(deploy):
    snapshot = deploy(lambda: aws.ec2.Vpc("x") and aws.ec2.InternetGateway("x") and None)

    assert {r.type for r in snapshot.resources.values()} == {VPC, GATEWAY}


def test_a_run_does_not_change_the_stack_of_its_caller(deploy):
    before = pulumi.get_stack()
    deploy(lambda: pulumi.export("stack", pulumi.get_stack()), stack="inside")

    assert pulumi.get_stack() == before != "inside"


def fail_while_declaring():
    aws.ec2.Vpc("left-over")
    raise LookupError("boom")


def fail_in_an_apply():
    aws.ec2.Vpc("left-over").id.apply(lambda _: {}["boom"])


def fail_with_a_user_error():
    aws.ec2.Vpc("left-over")
    pulumi.export("left-over", pulumi.Config().require("boom"))


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (fail_while_declaring, LookupError),
        (fail_in_an_apply, KeyError),
        (fail_with_a_user_error, pulumi.RunError),
    ],
)
def test_a_failing_program_does_not_affect_the_next_run(deploy, program, error):
    with pytest.raises(error, match="boom"):
        deploy(program, stack="broken", config={"airflow-platform:other": "1"})

    def sound():
        aws.ec2.Vpc("vpc")
        pulumi.export("stack", pulumi.get_stack())
        pulumi.export("other", pulumi.Config().get("other") or "gone")

    snapshot = deploy(sound, stack="sound")
    assert [r.name for r in snapshot.resources.values()] == ["vpc"]
    assert snapshot.exports == {"stack": "sound", "other": "gone"}


@pytest.mark.parametrize(("names", "count"), [([], 0), (["a", "b"], 2)])
def test_the_only_resource_must_be_unique(deploy, names, count):
    snapshot = deploy(lambda: [aws.ec2.Vpc(name) for name in names] and None)

    with pytest.raises(LookupError, match=f"^{count} of {VPC}"):
        snapshot.one(VPC)


def test_a_resource_is_found_by_type_and_name(deploy):
    snapshot = deploy(lambda: [aws.ec2.Vpc(name) for name in "abc"] and None)

    assert snapshot.one(VPC, "b").name == "b"
    assert {r.name for r in snapshot.all(VPC)} == {"a", "b", "c"}
