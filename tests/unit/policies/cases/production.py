from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    BUCKET,
    CLUSTER,
    CLUSTER_COMPONENT,
    DATABASE,
    KMS_KEY,
    VOLUME_CLAIM,
    Cases,
    database,
    resource,
)

SUBNET = "aws:ec2/subnet:Subnet"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
SUBNETS = (
    resource(SUBNET, "public-b", availabilityZone="b"),
    resource(SUBNET, "public-a", availabilityZone="a"),
    resource(SUBNET, "private-a", availabilityZone="a"),
)
NAT_A = resource(NAT_GATEWAY, "nat-a", subnetId="public-a-id")
NAT_B = resource(NAT_GATEWAY, "nat-b", subnetId=UNKNOWN, depends_on=[SUBNETS[0].urn])
PROTECTED = (DATABASE, CLUSTER_COMPONENT, CLUSTER)


def stateful(fix, type, name="it"):
    return Cases(
        rule="stateful-resources-protected",
        fix=fix,
        breaches=[("protect is false", resource(type, name))],
        complies={type: resource(type, name, protect=True)},
    )


CASES = [
    Cases(
        rule="deletion-protection-consistent",
        fix="Set both from one setting",
        breaches=[
            *(
                ("protect is true, but deletionProtection is false", resource(type, protect=True))
                for type in PROTECTED
            ),
            *(
                (
                    "protect is false, but deletionProtection is true",
                    resource(type, deletionProtection=True),
                )
                for type in PROTECTED
            ),
        ],
        complies={
            "both": resource(DATABASE, protect=True, deletionProtection=True),
            "neither": resource(CLUSTER_COMPONENT),
        },
    ),
    stateful("Set database.protect to true", DATABASE),
    stateful("Set cluster.protect to true", CLUSTER_COMPONENT),
    stateful("Set cluster.protect to true", CLUSTER),
    stateful("Set cluster.protect to true", KMS_KEY),
    stateful("Set logs.protect to true", BUCKET),
    stateful("Set redis.protect to true", VOLUME_CLAIM, "redis-data"),
    stateful(
        "Store this data outside the cluster, in RDS or on a Git host",
        VOLUME_CLAIM,
        "git-server-data",
    ),
    Cases(
        rule="stateful-resources-protected",
        complies={"volume of the DAG relay": resource(VOLUME_CLAIM, "dag-relay-data")},
    ),
    Cases(
        rule="database-final-snapshot",
        fix="Set database.final_snapshot to true",
        breaches=[
            ("skipFinalSnapshot is true", database(skipFinalSnapshot=True)),
            ("skipFinalSnapshot is not set", database()),
        ],
        complies={"snapshot": database(skipFinalSnapshot=False)},
    ),
    Cases(
        rule="database-backup-retention",
        fix="Set database.backup_days to 7 or more",
        breaches=[
            ("backupRetentionPeriod is 6", database(backupRetentionPeriod=6)),
            ("backupRetentionPeriod is not set", database()),
        ],
        complies={
            "a week": database(backupRetentionPeriod=7),
            "unknown": database(backupRetentionPeriod=UNKNOWN),
        },
    ),
    Cases(
        rule="database-multi-az",
        fix="Set database.multi_az to true",
        breaches=[("multiAz is false", database(multiAz=False))],
        complies={"several zones": database(multiAz=True)},
    ),
    Cases(
        rule="nat-gateway-per-az",
        fix="Set network.nat to per_az",
        breaches=[("zone b has no NAT gateway", *SUBNETS, NAT_A)],
        complies={"one per zone": (*SUBNETS, NAT_A, NAT_B)},
    ),
]
