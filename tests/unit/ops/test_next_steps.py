import pytest

from ops.kubernetes import Kubernetes
from ops.next_steps import next_steps
from settings import Settings

CLUSTER = Kubernetes(name="dev", arguments=["--kubeconfig", "k"])


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
