"""The name of the RDS instance, and its changes that wait, as `make up` reports them."""

import json
import os
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from ops import lifecycle, rds
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from ops.stack_files import ROOT

KEY = "Pulumi.prod.yaml:\n  airflow-platform:settings.database"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
LARGER = {"DBInstanceClass": "db.m7g.xlarge"}
MODIFY = "aws rds modify-db-instance --db-instance-identifier airflow-prod --apply-immediately"
REBOOT = "aws rds reboot-db-instance --db-instance-identifier airflow-prod"


def instance(pending=None, parameters="in-sync", running="db.m7g.large"):
    return {
        "DBInstanceIdentifier": "airflow-prod",
        "DBInstanceClass": running,
        "MultiAZ": True,
        "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
        "PendingModifiedValues": pending or {},
        "DBParameterGroups": [{"ParameterApplyStatus": parameters}],
    }


@pytest.fixture
def session(tools, stack, tmp_path):
    """The stack prod, whose state and whose instance in AWS have these names."""

    def opened(
        found=None, *, named="airflow-prod", workers=None, others=MappingProxyType({}), **database
    ):
        settings = stack("prod")[1]
        changed = {"database": settings.database.model_copy(update=database)}
        if workers is not None:
            changed["workers"] = settings.workers.model_copy(update={"max": workers})
        resources = [{"type": "aws:ec2/vpc:Vpc"}]
        recorded = {"database-instance": named, **others}
        resources += [
            {"type": rds.TYPE, "urn": f"urn::{name}", "outputs": {"identifier": identifier}}
            for name, identifier in recorded.items()
            if identifier
        ]
        state = json.dumps({"deployment": {"resources": resources}})
        tools("pulumi", f"case \"$*\" in *export*) echo '{state}' ;; *) exit 5 ;; esac")
        answer = json.dumps({"DBInstances": [found]})
        missing = "echo 'An error occurred (DBInstanceNotFound)' >&2; exit 254"
        tools("aws", f"echo '{answer}'" if found else missing)
        return Session(
            settings=settings.model_copy(update=changed),
            stack=Stack(name="prod", file=tmp_path / "Pulumi.prod.yaml", env=dict(os.environ)),
            account=Aws(region="eu-west-1", tags={}),
        )

    return opened


# --- the name


def test_a_new_name_is_refused_with_the_name_in_the_state(session):
    with pytest.raises(OperationError) as refused:
        rds.check(session(named="database-instance-0a1b2c3"))

    text = str(refused.value)
    assert text.startswith(
        f"{KEY}.identifier: the database of this stack is named database-instance-0a1b2c3; `make up` "
        "would rename it to airflow-prod"
    )
    assert "Nothing was changed" in text
    assert text.endswith("add `identifier: database-instance-0a1b2c3` to the section `database`")


@pytest.mark.parametrize(
    ("named", "identifier"),
    [
        ("database-instance-0a1b2c3", "database-instance-0a1b2c3"),
        ("airflow-prod", None),
        (None, None),
    ],
    ids=["kept", "new", "first update"],
)
def test_a_name_that_stays_is_accepted(session, named, identifier):
    rds.check(session(named=named, identifier=identifier))


SECOND = {"generation": 2, "restore_from": "one-snapshot", "kept_generation": 1}


def test_each_generation_keeps_its_own_name(session):
    rds.check(session(others={"database-instance-2": "airflow-prod-g2"}, **SECOND))

    with pytest.raises(
        OperationError, match="named another; `make up` would rename it to airflow-prod-g2"
    ):
        rds.check(session(others={"database-instance-2": "another"}, **SECOND))


def test_the_present_generation_is_described(session, tools):
    rds.describe(session(instance(), **SECOND))
    rds.describe(session(instance(), **SECOND), 1)

    present, former = tools.calls()
    assert "--db-instance-identifier airflow-prod-g2 " in present
    assert "--db-instance-identifier airflow-prod " in former


def test_up_checks_the_name_before_pulumi_runs(session, tools):
    with pytest.raises(OperationError, match="would rename it"):
        lifecycle.apply(session(named="database-instance-0a1b2c3"))

    assert [call for call in tools.calls() if "preview" in call or " up " in call] == []


@pytest.mark.parametrize("named", ["airflow-prod", "database-instance-0a1b2c3"])
def test_preview_reports_the_database_too(session, monkeypatch, capsys, named):
    opened = session(instance(LARGER, "pending-reboot"), named=named)
    monkeypatch.setattr(lifecycle, "checked_settings", lambda name: opened.settings)
    monkeypatch.setattr(lifecycle, "open_or_create", lambda name, settings: opened)
    monkeypatch.setattr(lifecycle.preconditions, "show", lambda name, settings: None)

    if named == "airflow-prod":
        assert lifecycle.preview("prod") == 5
        assert "Changes of the database airflow-prod wait:" in capsys.readouterr().out
    else:
        with pytest.raises(OperationError, match="would rename it"):
            lifecycle.preview("prod")


# --- connections


def test_workers_that_need_the_class_that_waits_are_refused(session):
    opened = session(
        instance(), workers=90, instance_class="db.m7g.xlarge", apply_immediately=False
    )

    with pytest.raises(OperationError) as refused:
        rds.check(opened)

    text = str(refused.value)
    assert text.startswith(
        f"{KEY}.instance_class: db.m7g.xlarge waits for the maintenance window 20"
    )
    assert (
        "Until then the database is db.m7g.large and accepts 811 connections, but Airflow with all its "
        "workers opens up to 933. Nothing was changed: set apply_immediately: true, or change only "
        "instance_class now and the workers after the window"
    ) in text


@pytest.mark.parametrize(
    ("found", "changes"),
    [
        (instance(), {"workers": 90, "instance_class": "db.m7g.xlarge", "apply_immediately": True}),
        (instance(), {"instance_class": "db.m7g.xlarge", "apply_immediately": False}),
        (instance(), {"workers": 90, "apply_immediately": False}),
        (None, {"workers": 90, "instance_class": "db.m7g.xlarge", "apply_immediately": False}),
        (
            instance(running="db.x2g.large"),
            {"workers": 90, "instance_class": "db.m7g.xlarge", "apply_immediately": False},
        ),
    ],
    ids=["at once", "enough connections", "same class", "no instance yet", "an unknown class"],
)
def test_other_updates_are_accepted(session, found, changes):
    rds.check(session(found, **changes))


# --- what waits


def test_a_class_that_waits_is_reported_with_its_date(session):
    found = instance(LARGER, "pending-reboot")

    assert rds.waiting(session(found, instance_class="db.m7g.xlarge"), NOW).splitlines() == [
        "",
        "Changes of the database airflow-prod wait:",
        "  DBInstanceClass     db.m7g.xlarge, now db.m7g.large",
        "  max_connections     1622, after a restart",
        "  when                in the maintenance window sun:05:00-sun:05:30 UTC, next on 2026-11-29 "
        "05:00 UTC",
        "  until then          811 connections; Airflow with all its workers opens up to 303",
        f"  apply now           {MODIFY} --region eu-west-1",
        "                      (no connections for one to two minutes with multi_az, for several "
        "without)",
    ]


def test_the_report_is_the_one_of_the_documentation(session):
    found = instance(LARGER, "pending-reboot")

    text = rds.waiting(session(found, instance_class="db.m7g.xlarge"), NOW)

    page = ROOT / "docs" / "operations.md"
    assert text.strip() in page.read_text(), "copy it into docs/operations.md"


def test_a_parameter_alone_waits_for_a_reboot(session):
    lines = rds.waiting(session(instance(parameters="pending-reboot")), NOW).splitlines()

    assert "  max_connections     811, after a restart" in lines
    assert (
        "  when                parameters: at the next restart; a maintenance window is none"
        in lines
    )
    assert f"  apply now           {REBOOT} --region eu-west-1" in lines
    assert not [line for line in lines if "next on" in line or MODIFY in line]


def test_a_change_without_a_restart_does_not_apply_parameters(session):
    found = instance({"AllocatedStorage": 200}, "pending-reboot")

    lines = rds.waiting(session(found), NOW).splitlines()

    assert f"  apply now           {MODIFY} --region eu-west-1" in lines
    assert f"                      {REBOOT} --region eu-west-1" in lines
    assert len([line for line in lines if line.startswith("  when ")]) == 2


def test_too_few_connections_until_then_are_a_warning(session):
    found = instance(LARGER, "pending-reboot")

    text = rds.waiting(session(found, instance_class="db.m7g.xlarge", workers=90), NOW)

    assert "811 connections; Airflow with all its workers opens up to 933" in text
    assert "warning: too few; apply the changes now, or lower workers.max" in text


def test_after_a_reboot_the_new_parameter_is_in_effect(session):
    opened = session(instance(LARGER), instance_class="db.m7g.xlarge")

    assert "  until then          1622 connections;" in rds.waiting(opened, NOW)


@pytest.mark.parametrize(
    "found",
    [
        None,
        instance(),
        instance({"MasterUserPassword": "****"}),
        instance({"PendingCloudwatchLogsExports": {"LogTypesToEnable": ["upgrade"]}}),
        instance(parameters="applying"),
        instance({"DBInstanceClass": "db.m7g.large"}),
    ],
    ids=[
        "no instance",
        "nothing",
        "a new password",
        "log exports",
        "parameters being applied",
        "the present class",
    ],
)
def test_nothing_is_reported_if_nothing_waits(session, capsys, found):
    rds.show_waiting(session(found))

    assert capsys.readouterr().out == ""


def test_an_existing_cluster_has_no_rds(session, stack, tools):
    local = session()
    local = Session(settings=stack("local")[1], stack=local.stack, account=None)

    rds.check(local)
    rds.show_waiting(local)
    assert tools.calls() == []


@pytest.mark.parametrize(
    ("window", "now", "begins"),
    [
        ("sun:05:00-sun:05:30", "2026-11-25 12:00", "2026-11-29 05:00"),
        ("wed:11:45-wed:12:15", "2026-11-25 12:00", "2026-11-25 11:45"),
        ("wed:11:30-wed:12:00", "2026-11-25 12:00", "2026-12-02 11:30"),
        ("mon:00:00-mon:00:30", "2026-11-25 12:00", "2026-11-30 00:00"),
        ("sun:23:45-mon:00:15", "2026-11-30 00:05", "2026-11-29 23:45"),
        ("Sun:23:45-Mon:00:15", "2026-11-30 00:15", "2026-12-06 23:45"),
    ],
)
def test_the_next_window_is_found(window, now, begins):
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, begins)]

    assert rds.next_window(window, moments[0]) == moments[1]


def test_up_prints_what_waits_after_an_update(session, monkeypatch, capsys):
    opened = session(instance(LARGER, "pending-reboot"), instance_class="db.m7g.xlarge")
    monkeypatch.setattr(lifecycle, "_update", lambda session: 0)

    assert lifecycle.update(opened) == 0
    assert "Changes of the database airflow-prod wait:" in capsys.readouterr().out


def test_a_failed_update_prints_nothing_of_the_database(session, capsys):
    assert lifecycle.update(session(instance(LARGER, "pending-reboot"))) == 5

    assert "Changes of the database" not in capsys.readouterr().out
