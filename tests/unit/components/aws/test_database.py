import re
from dataclasses import replace

import pulumi
import pytest

from components.aws.database import Database, DatabaseArgs
from settings.database import RdsSettings

INSTANCE = "aws:rds/instance:Instance"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
GENERATED = "random:index/randomPassword:RandomPassword"
ARGS = DatabaseArgs(
    vpc_id="vpc-1",
    subnet_ids=["subnet-a", "subnet-b"],
    node_security_group_id="sg-nodes",
    password=None,
    password_rotation=1,
    log_retention_days=31,
    settings=RdsSettings(kind="rds"),
)


@pytest.fixture
def database(deploy):
    return lambda **settings: deploy(
        lambda: Database("db", replace(ARGS, settings=RdsSettings(kind="rds", **settings)))
    )


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_database_survives_destroy(database, protect):
    instance = database(protect=protect).one(INSTANCE)

    assert instance.protect is protect
    assert instance.inputs["deletionProtection"] is protect


@pytest.mark.parametrize("final_snapshot", [True, False])
@pytest.mark.parametrize("protect", [True, False])
def test_the_final_snapshot_does_not_depend_on_protection(database, protect, final_snapshot):
    instance = database(protect=protect, final_snapshot=final_snapshot).one(INSTANCE)

    assert instance.inputs["skipFinalSnapshot"] is not final_snapshot
    assert ("finalSnapshotIdentifier" in instance.inputs) is final_snapshot


def test_every_final_snapshot_has_a_unique_name(database):
    snapshot = database()

    name = snapshot.one(INSTANCE).inputs["finalSnapshotIdentifier"]
    assert name == "airflow-test-final-0a1b2c3d", "the instance, and a unique suffix"
    assert snapshot.one("random:index/randomId:RandomId").inputs["byteLength"] == 4


def test_listed_clients_may_connect(deploy):
    settings = RdsSettings(
        kind="rds", client_security_group_ids=["sg-0123456789"], client_cidrs=["10.0.0.0/20"]
    )
    args = replace(ARGS, node_security_group_id=None, settings=settings)
    snapshot = deploy(lambda: Database("db", args))

    rules = {r.name: r.inputs for r in snapshot.all(INGRESS)}
    assert set(rules) == {"db-from-sg-0123456789", "db-from-10.0.0.0-20"}
    assert rules["db-from-sg-0123456789"]["referencedSecurityGroupId"] == "sg-0123456789"
    assert rules["db-from-10.0.0.0-20"]["cidrIpv4"] == "10.0.0.0/20"
    for name, rule in rules.items():
        assert (rule["fromPort"], rule["toPort"], rule["ipProtocol"]) == (5432, 5432, "tcp")
        assert rule["tags"] == {"Name": name}, "`make up` finds an unrecorded rule by it"


def test_only_nodes_may_connect(database):
    snapshot = database()

    rule = snapshot.one(INGRESS).inputs
    assert rule == {
        "securityGroupId": "db-security-group-id",
        "description": "PostgreSQL from the nodes of the cluster",
        "referencedSecurityGroupId": "sg-nodes",
        "ipProtocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
        "tags": {"Name": "db-from-clients"},
    }, "no address range, no other port"
    group = snapshot.one(SECURITY_GROUP).inputs
    assert group["vpcId"] == "vpc-1"
    assert "ingress" not in group
    assert snapshot.one(INSTANCE).inputs["vpcSecurityGroupIds"] == ["db-security-group-id"]


def test_the_former_name_of_the_security_group_is_an_alias(deploy, wire):
    deploy(lambda: Database("db", ARGS))

    (alias,) = wire["db-security-group"].aliases
    assert alias.spec.name == "db-firewall", "without the alias, an update replaces the group"


def test_the_database_is_in_the_given_subnets(database):
    snapshot = database()

    assert snapshot.one(INSTANCE).inputs["dbSubnetGroupName"] == "db-subnets"
    subnets = snapshot.one("aws:rds/subnetGroup:SubnetGroup", "db-subnets")
    assert subnets.inputs["subnetIds"] == ["subnet-a", "subnet-b"]


def test_slow_statements_are_logged(database):
    snapshot = database()

    parameters = snapshot.one(PARAMETERS).inputs["parameters"]
    assert {"name": "log_min_duration_statement", "value": "1000"} in parameters
    assert snapshot.one(INSTANCE).inputs["enabledCloudwatchLogsExports"] == [
        "postgresql",
        "upgrade",
    ]
    assert snapshot.one(INSTANCE).inputs["performanceInsightsEnabled"] is True


def test_the_instance_has_the_name_of_the_stack(database):
    assert database().one(INSTANCE).inputs["identifier"] == "airflow-test"
    assert database(identifier="kept-1").one(INSTANCE).inputs["identifier"] == "kept-1"


def test_a_replacement_of_the_instance_frees_its_name_first(database):
    assert database().one(INSTANCE).delete_before_replace is True


@pytest.mark.parametrize("identifier", ["airflow-test", "kept-1"])
def test_each_exported_log_has_a_group_with_retention(database, identifier):
    snapshot = database(identifier=identifier)

    instance = snapshot.one(INSTANCE)
    groups = snapshot.all(LOG_GROUP)
    assert {group.inputs["name"] for group in groups} == {
        f"/aws/rds/instance/{identifier}/{log}"
        for log in instance.inputs["enabledCloudwatchLogsExports"]
    }
    assert [group.inputs["retentionInDays"] for group in groups] == [60, 60], "rounded up"
    assert {group.urn for group in groups} <= instance.depends_on, (
        "RDS would create them first, and again after their deletion"
    )


@pytest.mark.parametrize("immediately", [True, False])
def test_changes_apply_when_the_settings_say(database, immediately):
    instance = database(apply_immediately=immediately).one(INSTANCE)

    assert instance.inputs["applyImmediately"] is immediately


@pytest.mark.parametrize("stack_name", ["my_stack", "2nd"])
def test_the_final_snapshot_of_any_stack_has_a_valid_name(deploy, stack_name):
    snapshot = deploy(lambda: Database("db", ARGS), stack=stack_name)

    name = snapshot.one(INSTANCE).inputs["finalSnapshotIdentifier"]
    assert re.fullmatch(r"(?!.*--)[a-z][a-z0-9-]{0,253}[a-z0-9]", name)


def test_the_instance_size_follows_the_settings(database):
    instance = database(
        instance_class="db.m7g.large",
        storage_gb=200,
        max_storage_gb=900,
        multi_az=True,
        backup_days=21,
    ).one(INSTANCE)

    wanted = {
        "storageType": "gp3",
        "instanceClass": "db.m7g.large",
        "allocatedStorage": 200,
        "maxAllocatedStorage": 900,
        "multiAz": True,
        "backupRetentionPeriod": 21,
    }
    assert {key: instance.inputs[key] for key in wanted} == wanted


def test_the_engine_is_postgresql_16_with_minor_updates(database):
    snapshot = database()

    instance = snapshot.one(INSTANCE).inputs
    assert (instance["engine"], instance["engineVersion"]) == ("postgres", "16")
    assert instance["autoMinorVersionUpgrade"] is True
    assert snapshot.one(PARAMETERS).inputs["family"] == "postgres16"


def test_database_and_user_match_the_connection_strings(database):
    instance = database().one(INSTANCE).inputs

    assert (instance["dbName"], instance["username"]) == ("airflow", "airflow")


def test_snapshots_inherit_the_tags(database):
    assert database().one(INSTANCE).inputs["copyTagsToSnapshot"] is True


@pytest.mark.parametrize("rotation", [1, 2])
def test_a_rotation_generates_a_new_password(deploy, rotation):
    args = replace(ARGS, password_rotation=rotation)
    instance = deploy(lambda: Database("db", args)).one(INSTANCE)

    assert instance.inputs["password"].value == f"db-password-{rotation}"


def test_a_configured_password_is_set_on_the_server(deploy):
    def program():
        Database("db", replace(ARGS, password=pulumi.Output.secret("configured")))

    snapshot = deploy(program)
    assert snapshot.one(INSTANCE).inputs["password"].value == "configured"
    assert not snapshot.all(GENERATED)


SECOND = {"generation": 2, "restore_from": "one-snapshot"}


def test_the_first_generation_begins_empty(database):
    instance = database().one(INSTANCE)

    assert not {"snapshotIdentifier", "restoreToPointInTime"} & instance.inputs.keys()
    assert instance.ignore_changes == ()


def test_a_later_generation_is_restored_once(database):
    instance = database(**SECOND).one(INSTANCE, "db-instance-2")

    assert instance.inputs["snapshotIdentifier"] == "one-snapshot"
    assert instance.inputs["identifier"] == "airflow-test-g2"
    assert set(instance.ignore_changes) == {"snapshotIdentifier", "restoreToPointInTime"}, (
        "another source would replace the instance, with its data"
    )
    assert not {"allocatedStorage", "dbName", "username"} & instance.inputs.keys(), (
        "AWS takes them from the snapshot, and refuses a smaller storage"
    )


def test_a_point_in_time_is_one_of_the_generation_before(database):
    settings = {"generation": 3, "restore_from": "2026-11-28T10:00:00Z", "kept_generation": 2}
    instance = database(**settings).one(INSTANCE, "db-instance-3")

    assert instance.inputs["restoreToPointInTime"] == {
        "sourceDbInstanceIdentifier": "airflow-test-g2",
        "restoreTime": "2026-11-28T10:00:00Z",
    }
    assert "snapshotIdentifier" not in instance.inputs


BACKUP = "arn:aws:rds:eu-central-1:111122223333:auto-backup:ab-0abc"


@pytest.mark.parametrize(
    ("settings", "point"),
    [
        ({}, {"useLatestRestorableTime": True}),
        ({"restore_time": "2026-11-28T10:00:00Z"}, {"restoreTime": "2026-11-28T10:00:00Z"}),
    ],
)
def test_a_replicated_backup_needs_no_former_instance(database, settings, point):
    instance = database(generation=2, restore_from=BACKUP, **settings).one(INSTANCE)

    assert instance.inputs["restoreToPointInTime"] == {
        "sourceDbInstanceAutomatedBackupsArn": BACKUP,
        **point,
    }
    assert "snapshotIdentifier" not in instance.inputs


def test_a_kept_generation_has_no_diff(database):
    before = database().one(INSTANCE)
    snapshot = database(**SECOND, kept_generation=1)

    kept = snapshot.one(INSTANCE, "db-instance")
    assert (kept.urn, kept.inputs) == (before.urn, before.inputs)
    assert len(snapshot.all(INSTANCE)) == 2


def test_generations_share_all_but_their_content(database):
    snapshot = database(**SECOND, kept_generation=1, protect=True)

    first, second = (snapshot.one(INSTANCE, name) for name in ("db-instance", "db-instance-2"))
    own = {"identifier", "finalSnapshotIdentifier", "snapshotIdentifier"}
    own |= {"allocatedStorage", "dbName", "username", "password"}
    assert {k: v for k, v in first.inputs.items() if k not in own} == {
        k: v for k, v in second.inputs.items() if k not in own
    }
    assert first.inputs["password"].value == second.inputs["password"].value
    assert (first.protect, second.protect) == (True, True)
    for kind in (SECURITY_GROUP, PARAMETERS, GENERATED, "aws:rds/subnetGroup:SubnetGroup"):
        assert len(snapshot.all(kind)) == 1, kind


def test_a_generation_has_logs_and_a_snapshot_of_its_own(database):
    snapshot = database(**SECOND, kept_generation=1)

    assert {group.name: group.inputs["name"] for group in snapshot.all(LOG_GROUP)} == {
        "db-log-postgresql": "/aws/rds/instance/airflow-test/postgresql",
        "db-log-upgrade": "/aws/rds/instance/airflow-test/upgrade",
        "db-log-postgresql-2": "/aws/rds/instance/airflow-test-g2/postgresql",
        "db-log-upgrade-2": "/aws/rds/instance/airflow-test-g2/upgrade",
    }
    names = [r.inputs["finalSnapshotIdentifier"] for r in snapshot.all(INSTANCE)]
    assert len(set(names)) == 2
    assert {r.name for r in snapshot.all("random:index/randomId:RandomId")} == {
        "db-snapshot",
        "db-snapshot-2",
    }


def test_airflow_connects_to_the_present_generation(deploy):
    settings = RdsSettings(kind="rds", **SECOND, kept_generation=1)
    found = []

    def program():
        Database("db", replace(ARGS, settings=settings)).login.host.apply(found.append)

    deploy(program)
    assert found == ["db-instance-2.rds.example"]
