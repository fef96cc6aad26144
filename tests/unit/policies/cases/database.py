from policies.view import UNKNOWN
from tests.unit.policies.resources import database, resource

PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
RESTORE = (
    "Set it to true; to encrypt an existing instance, restore an encrypted copy of its snapshot"
)


def forced_tls(value):
    return resource(PARAMETERS, "group", parameters=[{"name": "rds.force_ssl", "value": value}])


BREACHES = {
    "database-is-private": {
        "Set it to false: clients connect from inside the VPC": [
            ("publiclyAccessible is true", database(publiclyAccessible=True)),
            ("publiclyAccessible is not set", database()),
        ],
    },
    "database-is-encrypted": {
        RESTORE: [
            ("storageEncrypted is false", database(storageEncrypted=False)),
            ("storageEncrypted is not set", database()),
        ],
    },
    "database-requires-tls": {
        'Set it to "1"': [
            ('rds.force_ssl is "0"', forced_tls("0")),
            ("rds.force_ssl is not set", resource(PARAMETERS, "group")),
        ],
        "Use a parameter group of this stack that sets rds.force_ssl": [
            (
                'parameterGroupName is "default.postgres16"',
                database(parameterGroupName="default.postgres16"),
            )
        ],
    },
    "database-auto-minor-version-upgrade": {
        "Set it to true": [
            ("autoMinorVersionUpgrade is false", database(autoMinorVersionUpgrade=False)),
        ],
    },
}

COMPLIANT = {
    "database-is-private": {
        "private": database(publiclyAccessible=False),
        "unknown": database(publiclyAccessible=UNKNOWN),
    },
    "database-is-encrypted": {"encrypted": database(storageEncrypted=True)},
    "database-requires-tls": {
        "forced": (forced_tls("1"), database(parameterGroupName="group")),
        "unknown": resource(PARAMETERS, parameters=UNKNOWN),
    },
    "database-auto-minor-version-upgrade": {"automatic": database(autoMinorVersionUpgrade=True)},
}
