"""A change of a database instance waits for its maintenance window, unless it applies immediately."""

from itertools import count

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.faults import Faults
from tests.engine.simulator.provider import Provider
from tests.engine.simulator.resources.databases import INSTANCE
from tests.engine.simulator.values import encode

NUMBERS = count()
STATIC = {"ParameterName": "max_connections", "ApplyMethod": "pending-reboot"}


class Database:
    """An instance of RDS with a parameter group."""

    def __init__(self, cloud, name):
        self.rds, self.name = cloud.client("rds"), name
        self.rds.create_db_parameter_group(
            DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description=name
        )
        self.set_parameter("300")
        self.rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t4g.medium",
            Engine="postgres",
            EngineVersion="16",
            AllocatedStorage=20,
            MasterUsername="airflow",
            MasterUserPassword="correct-horse",
            DBParameterGroupName=name,
        )

    def modify(self, immediately=False, **changes):
        return self.rds.modify_db_instance(
            DBInstanceIdentifier=self.name, ApplyImmediately=immediately, **changes
        )["DBInstance"]

    def set_parameter(self, value):
        self.rds.modify_db_parameter_group(
            DBParameterGroupName=self.name, Parameters=[{**STATIC, "ParameterValue": value}]
        )

    def reboot(self):
        self.rds.reboot_db_instance(DBInstanceIdentifier=self.name)

    @property
    def now(self):
        (instance,) = self.rds.describe_db_instances(DBInstanceIdentifier=self.name)["DBInstances"]
        return instance

    @property
    def pending(self):
        return self.now.get("PendingModifiedValues")

    @property
    def parameters(self):
        (group,) = self.now["DBParameterGroups"]
        return group["ParameterApplyStatus"]


@pytest.fixture(scope="module")
def cloud():
    with Cloud() as opened:
        yield opened


@pytest.fixture
def database(cloud):
    return Database(cloud, f"database-{next(NUMBERS)}")


def test_a_new_instance_has_no_pending_changes(database):
    assert (database.pending, database.parameters) == ({}, "in-sync")


def test_a_new_class_waits_for_the_window(database):
    answered = database.modify(DBInstanceClass="db.m7g.large", MultiAZ=True)

    assert answered["PendingModifiedValues"]["DBInstanceClass"] == "db.m7g.large"
    assert database.now["DBInstanceClass"] == "db.t4g.medium"
    assert database.pending == {"DBInstanceClass": "db.m7g.large", "MultiAZ": True}


def test_an_immediate_change_also_applies_what_waits(database):
    database.modify(DBInstanceClass="db.m7g.large")

    database.modify(immediately=True)

    assert (database.now["DBInstanceClass"], database.pending) == ("db.m7g.large", {})


def test_the_present_class_is_no_change(database):
    database.modify(DBInstanceClass="db.t4g.medium")

    assert database.pending == {}


def test_a_change_back_removes_it_from_what_waits(database):
    database.modify(DBInstanceClass="db.m7g.large")
    database.modify(immediately=True, DBInstanceClass="db.t4g.medium")

    assert (database.now["DBInstanceClass"], database.pending) == ("db.t4g.medium", {})


@pytest.mark.parametrize(
    "change",
    [
        {"DeletionProtection": True},
        {"BackupRetentionPeriod": 9},
        {"CopyTagsToSnapshot": True},
        {"MaxAllocatedStorage": 90},
    ],
    ids=lambda change: next(iter(change)),
)
def test_some_changes_never_wait(database, change):
    database.modify(**change)

    ((name, value),) = change.items()
    assert (database.now[name], database.pending) == (value, {})


def test_a_static_parameter_waits_for_a_reboot(database):
    database.set_parameter("500")
    assert database.parameters == "pending-reboot"

    database.modify(immediately=True, CopyTagsToSnapshot=True)
    assert database.parameters == "pending-reboot", "this change does not restart the instance"

    database.reboot()
    assert database.parameters == "in-sync"


def test_a_new_class_restarts_the_instance(database):
    database.set_parameter("500")

    database.modify(immediately=True, DBInstanceClass="db.m7g.large")

    assert database.parameters == "in-sync"


def test_an_unchanged_parameter_waits_for_nothing(database):
    database.set_parameter("300")

    assert database.parameters == "in-sync"


def test_a_reboot_does_not_apply_a_waiting_class(database):
    database.modify(DBInstanceClass="db.m7g.large")

    database.reboot()

    assert database.pending == {"DBInstanceClass": "db.m7g.large"}


@pytest.fixture
def deployed(cloud):
    """The inputs, the ID and the state of an instance that Pulumi created."""
    inputs = {
        "identifier": f"deployed-{next(NUMBERS)}",
        "instanceClass": "db.t4g.medium",
        "engine": "postgres",
        "engineVersion": "16",
        "allocatedStorage": 20,
        "username": "airflow",
        "password": "correct-horse",
    }
    id_, outputs = INSTANCE.create(cloud, inputs)
    return inputs, id_, {**inputs, **outputs}


def test_the_provider_shows_the_class_that_waits(cloud, deployed):
    inputs, id_, state = deployed
    wanted = {**inputs, "instanceClass": "db.m7g.large"}

    after = {**wanted, **INSTANCE.update(cloud, id_, state, wanted)}

    assert after["instanceClass"] == "db.t4g.medium"
    request = provider_pb2.DiffRequest(
        urn="urn:pulumi:test::p::aws:rds/instance:Instance::one",
        olds=encode(after),
        old_inputs=encode(wanted),
        news=encode(wanted),
    )
    assert list(Provider(cloud, Faults()).Diff(request, None).diffs) == ["instanceClass"]


@pytest.mark.parametrize("immediately", [True, False])
def test_a_new_identifier_renames_the_instance(cloud, deployed, immediately):
    inputs, id_, state = deployed
    wanted = {
        **inputs,
        "identifier": f"{inputs['identifier']}-new",
        "applyImmediately": immediately,
    }

    after = INSTANCE.update(cloud, id_, state, wanted)

    renamed, kept = wanted["identifier"], inputs["identifier"]
    assert after["identifier"] == (renamed if immediately else kept)
    assert "identifier" not in INSTANCE.replaces
