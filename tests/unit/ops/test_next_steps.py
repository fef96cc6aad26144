import pytest

from ops.kubernetes import Kubernetes
from ops.next_steps import next_steps
from settings import Settings
from settings.airflow import AirflowSettings

CLUSTER = Kubernetes(name="dev", namespace="airflow", arguments=["--kubeconfig", "k"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prod", ["https://airflow.example.com/dag-relay"]),
        (
            "local",
            ["port-forward svc/dag-relay-webhook 8081:8080", "http://localhost:8081/dag-relay"],
        ),
    ],
)
def test_next_steps_have_url_and_secret_of_the_webhook(stack, name, expected):
    plain: Settings = stack(name)[1]
    dags = plain.dags.model_copy(update={"webhook": True})

    text = next_steps(CLUSTER, plain.model_copy(update={"dags": dags}))

    secret = "get secret dag-relay-webhook --output go-template='{{.data.secret | base64decode}}'"
    for words in [*expected, secret]:
        assert words in text
    assert "webhook" not in next_steps(CLUSTER, plain)


LOAD_BALANCER = "internal-k8s-airflow-airflowi-0123456789-1.eu-west-1.elb.amazonaws.com"


def test_next_steps_name_the_dns_record_to_make(stack):
    text = next_steps(CLUSTER, stack("prod")[1], LOAD_BALANCER)

    assert f"airflow.example.com  CNAME  {LOAD_BALANCER}\n" in text
    assert "alias record" in text


def test_a_load_balancer_without_a_name_yet_is_named(stack):
    text = next_steps(CLUSTER, stack("prod")[1])

    assert "CNAME" not in text
    assert "kubectl --kubeconfig k --namespace airflow describe ingress airflow-ingress" in text


def test_without_an_ingress_there_is_no_dns_record(stack):
    assert "DNS" not in next_steps(CLUSTER, stack("dev")[1])


def test_next_steps_name_no_user_of_another_auth_manager(stack):
    plain: Settings = stack("local")[1]
    config = {"core": {"auth_manager": "a.b.OtherAuthManager"}}
    airflow = plain.airflow.model_copy(update={"config": config})

    text = next_steps(CLUSTER, plain.model_copy(update={"airflow": airflow}))

    assert "  users      of a.b.OtherAuthManager\n" in text
    assert "admin" not in text
    assert "  user       admin\n" in next_steps(CLUSTER, plain)


SSO = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}


def with_airflow(plain, **given):
    airflow = AirflowSettings.model_validate({**plain.airflow.model_dump(), **given})
    return plain.model_copy(update={"airflow": airflow})


def test_next_steps_name_the_redirect_uri_of_sso(stack):
    text = next_steps(CLUSTER, with_airflow(stack("prod")[1], sso=SSO))

    assert "at https://i.example, whose client airflow must allow the redirect URI" in text
    assert "https://airflow.example.com/auth/oauth-authorized/sso\n" in text
    assert "user       admin, for the API only\n" in text


def test_without_the_local_user_there_is_no_password(stack):
    text = next_steps(CLUSTER, with_airflow(stack("prod")[1], sso=SSO, admin_user=False))

    assert "airflow-admin" not in text
    assert "user       admin" not in text
