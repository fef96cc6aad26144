"""`make up` and `make preview` with fake tools: the checks before an update."""

import json
import os
import signal
from dataclasses import replace
from unittest.mock import Mock

import pytest

from ops import lifecycle
from ops.__main__ import main
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings import Settings
from settings.airflow import AirflowSettings

REPLACED_DATABASE = {
    "steps": [
        {
            "op": "replace",
            "urn": "urn:pulumi:dev::p::aws:rds/instance:Instance::database-instance",
            "newState": {"type": "aws:rds/instance:Instance"},
            "detailedDiff": {"dbName": {"kind": "update-replace"}},
        }
    ]
}


NO_RESOURCES = """case "$*" in *export*) echo '{"deployment": {}}'; exit ;; esac"""


@pytest.fixture
def session(stack, tmp_path):
    """Open a committed stack with other policy settings."""

    def opened(name, **policies):
        settings: Settings = stack(name)[1]
        changed = settings.policies.model_copy(update=policies)
        return Session(
            settings=settings.model_copy(update={"policies": changed}),
            stack=Stack(name="dev", file=tmp_path / "Pulumi.dev.yaml", env=dict(os.environ)),
            account=None,
        )

    return opened


def test_an_update_that_would_lose_data_is_refused(tools, session):
    tools("pulumi", f"{NO_RESOURCES}\nprintf %s '{json.dumps(REPLACED_DATABASE)}'")

    with pytest.raises(
        OperationError, match=r"Nothing was changed[\s\S]*database-instance.*dbName"
    ):
        lifecycle.apply(session("dev"))
    assert not [call for call in tools.calls() if " up " in f"{call} "]


def test_an_exception_allows_an_update_that_loses_data(tools, session):
    tools("pulumi", f"printf %s '{json.dumps(REPLACED_DATABASE)}'")
    excused = session(
        "dev", exceptions={"no-stateful-deletion": "moved by hand on Monday, see the log"}
    )

    assert lifecycle.check_data_loss(excused) == 0


def test_a_failing_preview_is_repeated_as_text(tools, session):
    tools("pulumi", f"{NO_RESOURCES}\nexit 5")

    assert lifecycle.apply(session("dev")) == 5
    first, second = [call for call in tools.calls() if "export" not in call]
    assert "preview --json --stack dev" in first
    assert second.startswith("pulumi preview --stack dev"), "its output is for the user"


def test_what_exists_is_imported_before_the_update(tools, session, monkeypatch):
    tools("pulumi", f"{NO_RESOURCES}\necho '{{\"steps\": []}}'")
    order = []
    monkeypatch.setattr(lifecycle, "import_existing", lambda *given: order.append(given))
    monkeypatch.setattr(lifecycle, "update", lambda opened: order.append("update") or 0)
    account = Mock()
    account.call_or_none.return_value = None
    opened = replace(session("dev"), account=account)

    assert lifecycle.apply(opened) == 0
    assert order == [(opened.stack, account, {"steps": []}), "update"]


def test_a_stack_on_an_existing_cluster_skips_the_preview(tools, session):
    tools("pulumi", "exit 5")

    assert lifecycle.check_data_loss(session("local")) == 0
    assert tools.calls() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_without_a_traceback(monkeypatch, capsys, number):
    def interrupted(name, caller):
        os.kill(os.getpid(), number)

    monkeypatch.setattr(lifecycle, "up", interrupted)
    monkeypatch.setattr("sys.argv", ["ops", "up", "--stack", "local"])

    assert main() == 130, "128 + the number of SIGINT"
    assert capsys.readouterr().err == "interrupted: re-run the command to continue\n"


JOBS = "delete jobs --namespace airflow --selector=release=airflow,component in"


def before_pulumi(tools):
    calls = tools.calls()
    (update,) = (index for index, call in enumerate(calls) if call.startswith("pulumi up"))
    return calls[:update]


SSO = {"issuer": "https://i.example", "client_id": "airflow", "roles": {"ops": "Admin"}}


@pytest.mark.parametrize(
    ("given", "component"),
    [({"sso": SSO}, "sso-check"), ({"xcom_bucket": True}, "xcom-check"), ({}, None)],
)
def test_a_failed_check_is_explained_and_repeated(
    tools, session, monkeypatch, capsys, given, component
):
    tools("pulumi", "exit 255")
    state = {"exitCode": 1, "message": "sso_client_secret: refused"}
    pods = {"items": [{"status": {"containerStatuses": [{"state": {"terminated": state}}]}}]}
    tools("kubectl", f"echo '{json.dumps(pods)}'")
    cluster = Kubernetes(name="local", namespace="airflow", arguments=[])
    monkeypatch.setattr(Session, "cluster", lambda _: cluster)
    opened = session("local")
    airflow = AirflowSettings.model_validate({**opened.settings.airflow.model_dump(), **given})
    opened = replace(opened, settings=opened.settings.model_copy(update={"airflow": airflow}))

    assert lifecycle.update(opened) == 255

    first, *others = before_pulumi(tools)
    assert JOBS in first, "Helm cannot change a Job"
    assert len(others) == bool(given), "Pulumi would report the old failure again"
    for call in others:
        assert f"--selector=component={component} --field-selector=status.successful=0" in call
    shown = "Airflow was not changed:\n  sso_client_secret: refused" in capsys.readouterr().out
    assert shown == bool(given)
