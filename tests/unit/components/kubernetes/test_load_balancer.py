import pulumi
import pytest

from components.airflow.values import ingress
from components.kubernetes import load_balancer as load_balancer_module
from components.kubernetes.load_balancer import LoadBalancer, LoadBalancerArgs
from ops.plan import fake_cloud
from settings.airflow import IngressSettings

PARAMETERS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
CLASS = "kubernetes:networking.k8s.io/v1:IngressClass"
CERTIFICATE = "arn:aws:acm:eu-west-1:111122223333:certificate/1"


def settings(**more):
    return IngressSettings(
        host="airflow.example.com",
        certificate_arn=CERTIFICATE,
        allowed_cidrs=("10.0.0.0/8",),
        **more,
    )


@pytest.fixture
def load_balancer(deploy):
    return lambda bucket=None, **more: deploy(
        lambda: LoadBalancer(
            "lb",
            LoadBalancerArgs(
                settings=settings(**more), tags={"stack": "mine"}, access_log_bucket=bucket
            ),
        )
    )


def attributes(snapshot):
    spec = snapshot.one(PARAMETERS).inputs["spec"]
    return {each["key"]: each["value"] for each in spec["loadBalancerAttributes"]}


def test_the_scheme_follows_the_settings(load_balancer):
    spec = load_balancer(scheme="internet-facing").one(PARAMETERS).inputs["spec"]

    assert spec["scheme"] == "internet-facing"


def test_the_configured_certificate_is_used(load_balancer):
    assert load_balancer().one(PARAMETERS).inputs["spec"]["certificateARNs"] == [CERTIFICATE]


def test_the_load_balancer_carries_the_tags_of_the_stack(load_balancer):
    spec = load_balancer().one(PARAMETERS).inputs["spec"]

    assert spec["tags"] == [{"key": "stack", "value": "mine"}]


def test_the_ingress_of_airflow_uses_the_class(load_balancer):
    snapshot = load_balancer()

    found = snapshot.one(CLASS)
    assert (
        found.inputs["metadata"]["name"] == ingress(settings(), webhook=False)["ingressClassName"]
    )
    assert found.inputs["spec"] == {
        "controller": "eks.amazonaws.com/alb",
        "parameters": {
            "apiGroup": "eks.amazonaws.com",
            "kind": "IngressClassParams",
            "name": snapshot.one(PARAMETERS).inputs["metadata"]["name"],
        },
    }


def test_the_class_depends_on_its_parameters(load_balancer):
    snapshot = load_balancer()

    assert snapshot.one(PARAMETERS).urn in snapshot.one(CLASS).depends_on


@pytest.mark.parametrize("bucket", [None, "logs-bucket"])
def test_headers_with_invalid_names_are_dropped(load_balancer, bucket):
    found = attributes(load_balancer(bucket))

    assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"


def test_access_logs_go_to_a_folder_of_the_bucket(load_balancer):
    found = attributes(load_balancer("logs-bucket"))

    assert {key: value for key, value in found.items() if key.startswith("access_logs")} == {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "logs-bucket",
        "access_logs.s3.prefix": "load-balancer",
    }


def test_access_logs_are_switched_off_without_a_bucket(load_balancer):
    found = attributes(load_balancer())

    assert found["access_logs.s3.enabled"] == "false", (
        "an attribute that is left out keeps the value that the load balancer has"
    )
    assert "access_logs.s3.bucket" not in found


def host_name(deploy):
    def program():
        name, released = pulumi.Output.from_input("cluster"), pulumi.Output.from_input({})
        pulumi.export("found", load_balancer_module.host_name(name, "flow", released))

    return deploy(program).exports.get("found")


def test_the_name_is_that_of_the_load_balancer_in_aws(deploy):
    expected = fake_cloud.LOOKUPS["aws:lb/getLoadBalancer:getLoadBalancer"]["dnsName"]

    assert host_name(deploy) == expected


def test_a_load_balancer_is_selected_by_the_tags_of_auto_mode(deploy, monkeypatch):
    asked = []

    async def look_up(token, **arguments):
        asked.append(arguments)
        return {"arns": []}

    monkeypatch.setattr(load_balancer_module, "_look_up", look_up)

    assert host_name(deploy) is None, "AWS has not created it yet"
    (arguments,) = asked
    assert arguments["tags"] == {
        "eks:eks-cluster-name": "cluster",
        "ingress.eks.amazonaws.com/stack": "flow/airflow-ingress",
        "ingress.eks.amazonaws.com/resource": "LoadBalancer",
    }


def test_a_denied_lookup_does_not_fail_the_update(deploy, monkeypatch):
    async def denied(token, **arguments):
        # As Pulumi reports an error of the provider.
        raise Exception(f"invoke of {token} failed: AccessDenied")

    monkeypatch.setattr(load_balancer_module, "_look_up", denied)

    assert host_name(deploy) is None
