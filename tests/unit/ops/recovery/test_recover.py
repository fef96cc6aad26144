"""Recovery from an interrupted command, with fake tools."""

import json
import os

import pytest

from ops.recovery.recover import adopt, interrupted_creates, recover
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack, open_stack
from settings import Settings


def test_created_resources_are_adopted_and_others_dropped(checkout, tools, tmp_path):
    def operation(urn, kind="creating"):
        inputs = {"of": urn, "password": "of a restore that may not have set it"}
        return {"type": kind, "resource": {"urn": urn, "inputs": inputs}}

    pending = [operation("created"), operation("missing"), operation("old", kind="updating")]
    deployment = {"resources": [{"urn": "old", "id": "0"}], "pending_operations": pending}
    exported = json.dumps({"version": 3, "deployment": deployment})
    tools(
        "pulumi",
        f"""case "$*" in
          *"stack export"*) printf %s '{exported}' ;;
          *"stack import"*) read -r line; printf %s "$line" > {tmp_path}/imported ;;
        esac""",
    )
    stack = open_stack("local", in_checkout=False)

    assert [r["urn"] for r in interrupted_creates(stack)] == ["created", "missing"]
    assert adopt(stack, {"created": "airflow/created"}) == 0
    assert json.loads((tmp_path / "imported").read_text()) == {
        "version": 3,
        "deployment": {
            "resources": [
                {"urn": "old", "id": "0"},
                {
                    "urn": "created",
                    "inputs": {"of": "created"},
                    "id": "airflow/created",
                    "outputs": {"of": "created"},
                },
            ]
        },
    }
    assert tools.calls()[-1].startswith("pulumi refresh --stack local ")


@pytest.fixture
def session(stack, tmp_path):
    """Open the stack `local` with other settings of workers and KEDA."""

    def opened(scaling="cpu", existing=False):
        local: Settings = stack("local")[1]
        workers = local.workers.model_copy(update={"scaling": scaling})
        keda = local.keda.model_copy(update={"existing": existing})
        return Session(
            settings=local.model_copy(update={"workers": workers, "keda": keda}),
            stack=Stack(name="local", file=tmp_path / "Pulumi.local.yaml", env=dict(os.environ)),
            account=None,
        )

    return opened


@pytest.mark.parametrize(
    ("scaling", "existing", "namespaces"),
    [
        ("queue", False, ["airflow", "keda"]),
        ("queue", True, ["airflow"]),
        ("cpu", False, ["airflow"]),
    ],
)
def test_a_keda_of_another_installation_is_ignored(tools, session, scaling, existing, namespaces):
    tools("pulumi", """printf %s '{"deployment": {}}'""")
    tools("kubectl", """printf %s '{"items": []}'""")

    recover(session(scaling, existing))

    selected = [call for call in tools.calls() if "owner=helm" in call]
    assert [call.split("--namespace ")[1].split()[0] for call in selected] == namespaces


INTERRUPTED = {
    "deployment": {
        "resources": [],
        "pending_operations": [
            {
                "type": "creating",
                "resource": {
                    "urn": "secret",
                    "type": "kubernetes:core/v1:Secret",
                    "inputs": {"metadata": {"name": "a", "namespace": "airflow"}},
                },
            }
        ],
    }
}


@pytest.fixture
def interrupted(tools, tmp_path):
    """A state with one pending create, whose object exists in the cluster."""
    tools(
        "kubectl",
        """case "$*" in *"--output name"*) echo secret/a ;; *) echo '{"items": []}' ;; esac""",
    )

    def create(refresh):
        tools(
            "pulumi",
            f"""case "$*" in
              *"stack export"*) printf %s '{json.dumps(INTERRUPTED)}' ;;
              *"stack import"*) cat > {tmp_path}/imported ;;
              *refresh*) {refresh} ;;
            esac""",
        )

    return create


def test_an_interrupted_create_is_adopted(interrupted, session, tmp_path, capsys):
    interrupted(refresh=":")

    recover(session())

    (adopted,) = json.loads((tmp_path / "imported").read_text())["deployment"]["resources"]
    assert adopted["id"] == "airflow/a"
    output = capsys.readouterr().out
    assert "an interrupted command was creating 1 resources: looking them up" in output


def test_a_failing_recovery_ends_the_command(interrupted, session):
    interrupted(refresh="exit 1")

    with pytest.raises(OperationError, match="could not recover the state"):
        recover(session())
