import json

import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    BUCKET,
    CLUSTER,
    CLUSTER_COMPONENT,
    DATABASE,
    KMS_KEY,
    VOLUME_CLAIM,
    assert_complies,
    breaches,
    database,
    resource,
)

SUBNET = "aws:ec2/subnet:Subnet"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
SUBNETS = (
    resource(SUBNET, "public-a", availabilityZone="a"),
    resource(SUBNET, "private-a", availabilityZone="a"),
    resource(SUBNET, "public-b", availabilityZone="b"),
)


@pytest.mark.parametrize("type", [DATABASE, CLUSTER_COMPONENT, CLUSTER])
@pytest.mark.parametrize(("protect", "deletion_protection"), [(True, None), (False, True)])
def test_only_one_kind_of_protection_is_a_breach(type, protect, deletion_protection):
    found = (
        f"protect is {json.dumps(protect)}, "
        f"but deletionProtection is {json.dumps(bool(deletion_protection))}"
    )
    half = resource(type, protect=protect, deletionProtection=deletion_protection)
    assert breaches("deletion-protection-consistent", half) == [
        ("it", found, "Set both from one setting")
    ]


@pytest.mark.parametrize(
    "consistent",
    [resource(DATABASE, protect=True, deletionProtection=True), resource(CLUSTER_COMPONENT)],
)
def test_both_or_no_protection_complies(consistent):
    assert_complies("deletion-protection-consistent", consistent)


@pytest.mark.parametrize(
    ("stateful", "fix"),
    [
        (resource(DATABASE), "Set database.protect to true"),
        (resource(CLUSTER_COMPONENT), "Set cluster.protect to true"),
        (resource(CLUSTER), "Set cluster.protect to true"),
        (resource(KMS_KEY), "Set cluster.protect to true"),
        (resource(BUCKET), "Set logs.protect to true"),
        (resource(VOLUME_CLAIM, "redis-data"), "Set redis.protect to true"),
        (
            resource(VOLUME_CLAIM, "git-server-data"),
            "Store this data outside the cluster, in RDS or on a Git host",
        ),
    ],
)
def test_an_unprotected_stateful_resource_is_a_breach(stateful, fix):
    assert breaches("stateful-resources-protected", stateful) == [
        (stateful.name, "protect is false", fix)
    ]


@pytest.mark.parametrize(
    "type", [DATABASE, CLUSTER_COMPONENT, CLUSTER, KMS_KEY, BUCKET, VOLUME_CLAIM]
)
def test_a_protected_stateful_resource_complies(type):
    assert_complies("stateful-resources-protected", resource(type, protect=True))


def test_the_volume_of_the_dag_relay_needs_no_protection():
    assert_complies("stateful-resources-protected", resource(VOLUME_CLAIM, "dag-relay-data"))


@pytest.mark.parametrize(
    ("inputs", "found"), [({"skipFinalSnapshot": True}, "is true"), ({}, "is not set")]
)
def test_a_database_without_final_snapshot_is_a_breach(inputs, found):
    assert breaches("database-final-snapshot", database(**inputs)) == [
        ("db", f"skipFinalSnapshot {found}", "Set database.final_snapshot to true")
    ]


def test_a_database_with_final_snapshot_complies():
    assert_complies("database-final-snapshot", database(skipFinalSnapshot=False))


@pytest.mark.parametrize(
    ("inputs", "found"), [({"backupRetentionPeriod": 6}, "is 6"), ({}, "is not set")]
)
def test_backups_for_less_than_a_week_are_a_breach(inputs, found):
    assert breaches("database-backup-retention", database(**inputs)) == [
        ("db", f"backupRetentionPeriod {found}", "Set database.backup_days to 7 or more")
    ]


@pytest.mark.parametrize("days", [7, UNKNOWN])
def test_backups_for_a_week_comply(days):
    assert_complies("database-backup-retention", database(backupRetentionPeriod=days))


def test_a_database_in_one_zone_is_a_breach():
    assert breaches("database-multi-az", database(multiAz=False)) == [
        ("db", "multiAz is false", "Set database.multi_az to true")
    ]


def test_a_database_in_several_zones_complies():
    assert_complies("database-multi-az", database(multiAz=True))


def test_a_zone_without_nat_gateway_is_a_breach():
    gateway = resource(NAT_GATEWAY, subnetId="public-a-id")
    assert breaches("nat-gateway-per-az", *SUBNETS, gateway) == [
        ("public-b", "zone b has no NAT gateway", "Set network.nat to per_az")
    ]


def test_a_nat_gateway_in_each_zone_complies():
    gateways = (
        resource(NAT_GATEWAY, "nat-a", subnetId="public-a-id"),
        resource(NAT_GATEWAY, "nat-b", subnetId=UNKNOWN, depends_on=[SUBNETS[2].urn]),
    )
    assert_complies("nat-gateway-per-az", *SUBNETS, *gateways)
