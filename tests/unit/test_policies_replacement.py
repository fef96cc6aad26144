"""What `pulumi preview --json` says of resources that keep data."""

import pytest

from policies.replacement import lost

DATABASE = "urn:pulumi:prod::p::airflow:aws:Database$aws:rds/instance:Instance::database-instance"
VOLUME = "urn:pulumi:prod::p::a:b:C$kubernetes:core/v1:PersistentVolumeClaim::redis-data"
TAIL = (
    "if it is meant, save the data first and say so in policies.exceptions.no-stateful-deletion."
)
WHY = "Making it anew loses what the old one kept."


def step(op, urn=DATABASE, **more):
    return {"op": op, "urn": urn, "oldState": {"type": urn.split("::")[2].split("$")[-1]}, **more}


def replacing(*properties):
    return {
        "detailedDiff": {path: {"kind": "update-replace"} for path in properties}
        | {"tags": {"kind": "update"}}
    }


def test_a_replacement_is_one_line_with_the_properties_that_force_it():
    steps = [
        step("create-replacement", **replacing("kmsKeyId", "dbName")),
        step("replace", replaceReasons=["dbName", "username"]),
        step("delete-replaced"),
    ]
    assert lost({"steps": steps}) == [
        "no-stateful-deletion: database-instance: would be replaced because of dbName, kmsKeyId, "
        "username, and with it the database, its backups and its address. "
        f"{WHY} Take that change back; {TAIL}"
    ]


@pytest.mark.parametrize("op", ["replace", "create-replacement", "delete-replaced"])
def test_each_step_of_a_replacement_counts(op):
    (line,) = lost({"steps": [step(op)]})
    assert "would be replaced because of its provider" in line


def test_a_deletion_is_found_too():
    assert lost({"steps": [step("delete", VOLUME)]}) == [
        "no-stateful-deletion: redis-data: would be deleted, and with it the volume and its data. "
        f"{WHY} Put it back into the program; {TAIL}"
    ]


def test_each_resource_has_its_line():
    assert len(lost({"steps": [step("replace"), step("delete", VOLUME)]})) == 2


@pytest.mark.parametrize("op", ["same", "update", "create", "read", "refresh", "discard"])
def test_other_steps_lose_nothing(op):
    assert lost({"steps": [step(op)]}) == []


def test_what_keeps_nothing_may_be_replaced():
    assert lost({"steps": [step("replace", "urn:pulumi:prod::p::aws:ec2/route:Route::r")]}) == []


@pytest.mark.parametrize(
    "type",
    [
        "aws:rds/instance:Instance",
        "aws:eks/cluster:Cluster",
        "eks:index:Cluster",
        "aws:s3/bucket:Bucket",
        "aws:kms/key:Key",
        "kubernetes:apps/v1:StatefulSet",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:Namespace",
    ],
)
def test_the_type_is_read_from_the_urn_if_there_is_no_state(type):
    bare = {"op": "delete", "urn": f"urn:pulumi:prod::p::{type}::it"}
    assert len(lost({"steps": [bare]})) == 1
    new = {**bare, "urn": "urn:pulumi:prod::p::x::it", "newState": {"type": type}}
    assert len(lost({"steps": [new]})) == 1


def test_a_stack_may_be_excused():
    assert lost({"steps": [step("replace")]}, {"no-stateful-deletion": "a reason"}) == []
    assert len(lost({"steps": [step("replace")]}, {"kms-key-rotation-enabled": "a reason"})) == 1


def test_a_preview_without_steps_loses_nothing():
    assert lost({}) == []
