from dataclasses import replace

import pytest

from components.database import Database, DatabaseArgs
from settings import RdsSettings

INSTANCE = "aws:rds/instance:Instance"
ARGS = DatabaseArgs(
    vpc_id="vpc-1",
    subnet_ids=["subnet-a", "subnet-b"],
    client_security_group_id="sg-nodes",
    password=None,
    password_generation=1,
    settings=RdsSettings(kind="rds"),
)


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_database_outlives_a_destroy(deploy, protect):
    args = replace(ARGS, settings=RdsSettings(kind="rds", protect=protect))
    instance = deploy(lambda: Database("db", args)).one(INSTANCE)

    assert instance.protect is protect
    assert instance.inputs["deletionProtection"] is protect
    assert instance.inputs["skipFinalSnapshot"] is not protect
    assert ("finalSnapshotIdentifier" in instance.inputs) is protect
