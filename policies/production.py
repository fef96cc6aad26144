"""Rules for deletion protection, backups and availability; most apply to production only."""

import re
from collections.abc import Iterator

from policies import cluster, database, storage
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, describe, differs

SUBNET = "aws:ec2/subnet:Subnet"
NAT = "aws:ec2/natGateway:NatGateway"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
REDIS = "redis-data"
IN_CONTAINER = ("database-data", "database-backup-data")
RECOVERY_KEY = "recovery-region-key"
RESTORABLE = re.compile(r"dag-relay(-.+)?-data")  # restored from Git by the DAG relay
MIN_BACKUP_DAYS = 7


def _nat_gateway_per_az(stack: Stack) -> Iterator[Finding]:
    subnets = stack.all(SUBNET)
    gateways = stack.all(NAT)
    served = {
        subnet.inputs.get("availabilityZone")
        for subnet in subnets
        if any(gateway.refers("subnetId", subnet) for gateway in gateways)
    }
    zones = {subnet.inputs.get("availabilityZone") for subnet in subnets}
    for zone in sorted(str(zone) for zone in zones - served if zone is not UNKNOWN):
        (first, *_) = [s for s in subnets if s.inputs.get("availabilityZone") == zone]
        yield Finding(
            resource=first.name,
            urn=first.urn,
            what=f"zone {zone} has no NAT gateway",
            fix="Set network.nat to per_az",
        )


def _database_multi_az(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("multiAz")
        if differs(value, True):
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=describe("multiAz", value),
                fix="Set database.multi_az to true",
            )


def _backup_retention(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("backupRetentionPeriod")
        if value is not UNKNOWN and (value or 0) < MIN_BACKUP_DAYS:
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=describe("backupRetentionPeriod", value),
                fix=f"Set database.backup_days to {MIN_BACKUP_DAYS} or more",
            )


def _final_snapshot(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("skipFinalSnapshot")
        if differs(value, False):
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=describe("skipFinalSnapshot", value),
                fix="Set database.final_snapshot to true",
            )


def _stateful_resources_are_protected(stack: Stack) -> Iterator[Finding]:
    claims, keys = stack.all(CLAIM), stack.all(storage.KEY)
    by_fix: dict[str, list[Resource]] = {
        "Set cluster.protect to true": [
            *cluster.clusters(stack),
            *(key for key in keys if key.name != RECOVERY_KEY),
        ],
        "Set database.protect to true": [
            *stack.all(database.INSTANCE),
            *(key for key in keys if key.name == RECOVERY_KEY),
            *(claim for claim in claims if claim.name in IN_CONTAINER),
        ],
        "Set logs.protect to true": stack.all(storage.BUCKET),
        "Set redis.protect to true": [claim for claim in claims if claim.name == REDIS],
        "Store this data outside the cluster, in RDS or on a Git host": [
            claim
            for claim in claims
            if claim.name not in (REDIS, *IN_CONTAINER) and not RESTORABLE.fullmatch(claim.name)
        ],
    }
    for fix, resources in by_fix.items():
        for resource in resources:
            if not resource.protect:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=describe("protect", False),
                    fix=fix,
                )


def _deletion_protection_is_consistent(stack: Stack) -> Iterator[Finding]:
    for resource in [*stack.all(database.INSTANCE), *cluster.clusters(stack)]:
        value = resource.inputs.get("deletionProtection") or False
        if differs(value, resource.protect):
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=f"{describe('protect', resource.protect)}, but {describe('deletionProtection', value)}",
                fix="Set both from one setting",
            )


RULES = (
    Rule(
        name="deletion-protection-consistent",
        former_name="protection-is-whole",
        reason="`protect` blocks deletion by Pulumi, deletionProtection by any other client",
        check=_deletion_protection_is_consistent,
    ),
    Rule(
        name="stateful-resources-protected",
        former_name="data-is-protected",
        reason="A single `make down` would delete the data",
        check=_stateful_resources_are_protected,
        level="production",
        excusable=True,
    ),
    Rule(
        name="database-final-snapshot",
        former_name="last-snapshots-are-kept",
        reason="RDS deletes automated backups together with the instance",
        check=_final_snapshot,
        level="production",
        excusable=True,
    ),
    Rule(
        name="database-backup-retention",
        former_name="backups-reach-back",
        reason="Data loss on a Friday is found on Monday, and its cause days later",
        check=_backup_retention,
        level="production",
        excusable=True,
    ),
    Rule(
        name="database-multi-az",
        former_name="databases-survive-a-zone",
        reason="If its zone fails, Airflow is down until the database is restored, about one hour",
        check=_database_multi_az,
        level="production",
        excusable=True,
    ),
    Rule(
        name="nat-gateway-per-az",
        former_name="every-zone-has-nat",
        reason="If the zone of a shared NAT gateway fails, no zone can reach Git or pull images",
        check=_nat_gateway_per_az,
        level="production",
        excusable=True,
    ),
)
