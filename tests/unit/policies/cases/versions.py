from policies.view import UNKNOWN
from tests.unit.policies.resources import CLUSTER, CLUSTER_COMPONENT, database, resource

EKS = "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"
RDS = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/"
    "postgresql-release-calendar.html"
)
UNLISTED = "Use a listed version, or add this one with its date from"

BREACHES = {
    "kubernetes-version-supported": {
        f"Upgrade cluster.version one minor version at a time ({EKS})": [
            (
                "version is 1.33, and its standard support ended on 2026-07-29",
                resource(CLUSTER_COMPONENT, version="1.33"),
            )
        ],
        f"{UNLISTED} {EKS}": [
            (
                "version is 1.99, but policies/versions.py lists only "
                "1.31, 1.32, 1.33, 1.34, 1.35, 1.36",
                resource(CLUSTER, version="1.99"),
            )
        ],
    },
    "postgresql-version-supported": {
        f"Upgrade POSTGRES in settings/versions.py ({RDS})": [
            (
                "engineVersion is 13, and its standard support ended on 2026-02-28",
                database(engineVersion="13.20"),
            )
        ],
        f"{UNLISTED} {RDS}": [
            (
                "engineVersion is 9, but policies/versions.py lists only 13, 14, 15, 16, 17, 18",
                database(engineVersion="9.6"),
            )
        ],
    },
}

COMPLIANT = {
    "kubernetes-version-supported": {
        "supported": resource(CLUSTER_COMPONENT, version="1.35"),
        "unknown": resource(CLUSTER, version=UNKNOWN),
    },
    "postgresql-version-supported": {
        "supported": database(engineVersion="16"),
        "unknown": database(engineVersion=UNKNOWN),
    },
}
