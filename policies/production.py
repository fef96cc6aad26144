"""Rules for stacks whose `policies.level` is production: what must survive a zone, and a mistake."""

from collections.abc import Iterator

from policies import cluster, database, storage
from policies.rule import Finding, Rule
from policies.view import UNKNOWN, Resource, Stack, differs, is_

SUBNET = "aws:ec2/subnet:Subnet"
NAT = "aws:ec2/natGateway:NatGateway"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
REDIS = "redis-data"
COPIES = {"dag-relay-data"}  # whoever loses it fetches it again
MIN_BACKUP_DAYS = 7


def _every_zone_has_nat(stack: Stack) -> Iterator[Finding]:
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


def _databases_survive_a_zone(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("multiAz")
        if differs(value, True):
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=is_("multiAz", value),
                fix="Set database.multi_az to true",
            )


def _backups_reach_back(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("backupRetentionPeriod")
        if value is not UNKNOWN and (value or 0) < MIN_BACKUP_DAYS:
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=is_("backupRetentionPeriod", value),
                fix=f"Set database.backup_days to {MIN_BACKUP_DAYS} or more",
            )


def _last_snapshots_are_kept(stack: Stack) -> Iterator[Finding]:
    for instance in stack.all(database.INSTANCE):
        value = instance.inputs.get("skipFinalSnapshot")
        if differs(value, False):
            yield Finding(
                resource=instance.name,
                urn=instance.urn,
                what=is_("skipFinalSnapshot", value),
                fix="Set database.final_snapshot to true",
            )


def _data_is_protected(stack: Stack) -> Iterator[Finding]:
    claims = stack.all(CLAIM)
    keeps: dict[str, list[Resource]] = {
        "Set cluster.protect to true": [*cluster.clusters(stack), *stack.all(storage.KEY)],
        "Set database.protect to true": stack.all(database.INSTANCE),
        "Set logs.protect to true": stack.all(storage.BUCKET),
        "Set redis.protect to true": [claim for claim in claims if claim.name == REDIS],
        "Keep this data outside the cluster: RDS, a Git host": [
            claim for claim in claims if claim.name not in {REDIS, *COPIES}
        ],
    }
    for fix, resources in keeps.items():
        for resource in resources:
            if not resource.protect:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=is_("protect", False),
                    fix=fix,
                )


def _protection_is_whole(stack: Stack) -> Iterator[Finding]:
    for resource in [*stack.all(database.INSTANCE), *cluster.clusters(stack)]:
        value = resource.inputs.get("deletionProtection") or False
        if differs(value, resource.protect):
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=f"{is_('protect', resource.protect)}, but {is_('deletionProtection', value)}",
                fix="Let one setting decide both",
            )


RULES = (
    Rule(
        name="protection-is-whole",
        reason="One of the two alone looks like protection: the other door is open",
        check=_protection_is_whole,
    ),
    Rule(
        name="data-is-protected",
        reason="One wrong `make down` would delete it",
        check=_data_is_protected,
        level="production",
        excusable=True,
    ),
    Rule(
        name="last-snapshots-are-kept",
        reason="Backups of an instance are deleted with it",
        check=_last_snapshots_are_kept,
        level="production",
        excusable=True,
    ),
    Rule(
        name="backups-reach-back",
        reason="A mistake of Friday is found on Monday, and its cause later",
        check=_backups_reach_back,
        level="production",
        excusable=True,
    ),
    Rule(
        name="databases-survive-a-zone",
        reason="Airflow stands still without its database, and a restore takes an hour",
        check=_databases_survive_a_zone,
        level="production",
        excusable=True,
    ),
    Rule(
        name="every-zone-has-nat",
        reason="When the zone of the only NAT gateway fails, no other zone reaches Git or pulls images",
        check=_every_zone_has_nat,
        level="production",
        excusable=True,
    ),
)
