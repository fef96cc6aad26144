from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    BUCKET,
    CLUSTER,
    CLUSTER_COMPONENT,
    DATABASE,
    KMS_KEY,
    VOLUME_CLAIM,
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
STATEFUL = (*PROTECTED, KMS_KEY, BUCKET, VOLUME_CLAIM)
UNPROTECTED = "protect is false"


BREACHES = {
    "deletion-protection-consistent": {
        "Set both from one setting": [
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
    },
    "stateful-resources-protected": {
        "Set database.protect to true": [
            (UNPROTECTED, resource(DATABASE)),
            (UNPROTECTED, resource(KMS_KEY, "recovery-region-key")),
            (UNPROTECTED, resource(VOLUME_CLAIM, "database-data")),
            (UNPROTECTED, resource(VOLUME_CLAIM, "database-backup-data")),
        ],
        "Set cluster.protect to true": [
            (UNPROTECTED, resource(type)) for type in (CLUSTER_COMPONENT, CLUSTER, KMS_KEY)
        ],
        "Set logs.protect to true": [(UNPROTECTED, resource(BUCKET))],
        "Set redis.protect to true": [(UNPROTECTED, resource(VOLUME_CLAIM, "redis-data"))],
        "Store this data outside the cluster, in RDS or on a Git host": [
            (UNPROTECTED, resource(VOLUME_CLAIM, "git-server-data"))
        ],
    },
    "database-final-snapshot": {
        "Set database.final_snapshot to true": [
            ("skipFinalSnapshot is true", database(skipFinalSnapshot=True)),
            ("skipFinalSnapshot is not set", database()),
        ],
    },
    "database-backup-retention": {
        "Set database.backup_days to 7 or more": [
            ("backupRetentionPeriod is 6", database(backupRetentionPeriod=6)),
            ("backupRetentionPeriod is not set", database()),
        ],
    },
    "database-multi-az": {
        "Set database.multi_az to true": [("multiAz is false", database(multiAz=False))],
    },
    "nat-gateway-per-az": {
        "Set network.nat to per_az": [("zone b has no NAT gateway", *SUBNETS, NAT_A)],
    },
}

COMPLIANT = {
    "deletion-protection-consistent": {
        "both": resource(DATABASE, protect=True, deletionProtection=True),
        "neither": resource(CLUSTER_COMPONENT),
    },
    "stateful-resources-protected": {
        "volume of the DAG relay": resource(VOLUME_CLAIM, "dag-relay-data"),
        **{type: resource(type, protect=True) for type in STATEFUL},
    },
    "database-final-snapshot": {"snapshot": database(skipFinalSnapshot=False)},
    "database-backup-retention": {
        "a week": database(backupRetentionPeriod=7),
        "unknown": database(backupRetentionPeriod=UNKNOWN),
    },
    "database-multi-az": {"several zones": database(multiAz=True)},
    "nat-gateway-per-az": {"one per zone": (*SUBNETS, NAT_A, NAT_B)},
}
