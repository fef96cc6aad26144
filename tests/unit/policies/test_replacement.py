"""Stateful resources that an update would lose, by the output of `pulumi preview --json`."""

import pytest

from policies.replacement import lost

DATABASE = "urn:pulumi:prod::p::airflow:aws:Database$aws:rds/instance:Instance::database-instance"
CLUSTER = "urn:pulumi:prod::p::eks:index:Cluster$aws:eks/cluster:Cluster::cluster-eks-eksCluster"
VOLUME = "urn:pulumi:prod::p::a:b:C$kubernetes:core/v1:PersistentVolumeClaim::redis-data"
ROUTE = "urn:pulumi:prod::p::aws:ec2/route:Route::r"
REASON = "Deleting a stateful resource deletes its data, and a replacement starts empty."
EXCEPTION = "if intended, back up the data and add policies.exceptions.no-stateful-deletion."


def step(op, urn=DATABASE, **more):
    return {"op": op, "urn": urn, "oldState": {"type": urn.split("::")[2].split("$")[-1]}, **more}


def forced_by(*properties):
    return {
        "detailedDiff": {path: {"kind": "update-replace"} for path in properties}
        | {"tags": {"kind": "update"}}
    }


def test_a_replacement_is_one_line_with_the_changed_properties():
    steps = [
        step("create-replacement", **forced_by("kmsKeyId", "dbName")),
        step("replace", replaceReasons=["dbName", "username"]),
        step("delete-replaced"),
    ]
    assert lost({"steps": steps}) == [
        "no-stateful-deletion: database-instance: would be replaced because of dbName, kmsKeyId, "
        "username, together with the data, the automated backups and the endpoint. "
        f"{REASON} Revert the change; {EXCEPTION}"
    ]


def test_a_cluster_of_an_earlier_release_keeps_its_node_role():
    """The setting keeps the role, which neither EKS nor Pulumi can remove."""
    for path in ("computeConfig", "computeConfig.nodeRoleArn"):
        (line,) = lost({"steps": [step("replace", CLUSTER, **forced_by(path))]})
        assert f"{REASON} Set cluster.built_in_node_pools to true; {EXCEPTION}" in line


@pytest.mark.parametrize("op", ["replace", "create-replacement", "delete-replaced"])
def test_each_step_of_a_replacement_counts(op):
    (line,) = lost({"steps": [step(op)]})
    assert "would be replaced because of its provider" in line


def test_a_deletion_is_one_line():
    assert lost({"steps": [step("delete", VOLUME)]}) == [
        "no-stateful-deletion: redis-data: would be deleted, together with the data of the volume. "
        f"{REASON} Restore it in the program; {EXCEPTION}"
    ]


def test_a_deletion_that_the_user_confirmed_is_none():
    steps = {"steps": [step("delete", VOLUME)]}

    assert lost(steps, deletes={VOLUME}) == []
    assert len(lost(steps, deletes={ROUTE})) == 1
    replaced = {"steps": [step("replace", VOLUME)]}
    assert len(lost(replaced, deletes={VOLUME})) == 1, "a replacement was not confirmed"


def test_each_resource_has_its_own_line():
    assert len(lost({"steps": [step("replace"), step("delete", VOLUME)]})) == 2


@pytest.mark.parametrize("op", ["same", "update", "create", "read", "refresh", "discard"])
def test_other_steps_lose_nothing(op):
    assert lost({"steps": [step(op)]}) == []


def test_stateless_resources_may_be_replaced():
    assert lost({"steps": [step("replace", ROUTE)]}) == []


@pytest.mark.parametrize(
    ("properties", "lines"),
    [
        (["spec.podManagementPolicy"], 0),
        (["spec.podManagementPolicy", "spec.serviceName"], 1),
        ([], 1),
    ],
)
def test_a_stateful_set_is_replaced_for_its_management_policy(properties, lines):
    """An upgrade from an earlier release does so; the volumes have claims of their own."""
    urn = "urn:pulumi:prod::p::kubernetes:apps/v1:StatefulSet::redis-server"
    steps = [step("replace", urn, replaceReasons=properties), step("create-replacement", urn)]

    assert len(lost({"steps": steps})) == lines


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
def test_every_stateful_type_is_found_by_urn_or_state(type):
    bare = {"op": "delete", "urn": f"urn:pulumi:prod::p::{type}::it"}
    assert len(lost({"steps": [bare]})) == 1
    new = {**bare, "urn": "urn:pulumi:prod::p::x::it", "newState": {"type": type}}
    assert len(lost({"steps": [new]})) == 1


@pytest.mark.parametrize("name", ["no-stateful-deletion", "stateful-resources-stay"])
def test_an_exception_allows_the_loss_under_either_name(name):
    assert lost({"steps": [step("replace")]}, {name: "a reason"}) == []


def test_exceptions_to_other_rules_do_not_count():
    exceptions = {"kms-key-rotation-enabled": "a reason"}
    assert len(lost({"steps": [step("replace")]}, exceptions)) == 1


def test_a_preview_without_steps_loses_nothing():
    assert lost({}) == []
