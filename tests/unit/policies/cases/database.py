from policies.view import UNKNOWN
from tests.unit.policies.resources import Cases, database, resource

PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
RESTORE = (
    "Set it to true; to encrypt an existing instance, restore an encrypted copy of its snapshot"
)


def forced_tls(value):
    return resource(PARAMETERS, "group", parameters=[{"name": "rds.force_ssl", "value": value}])


CASES = [
    Cases(
        rule="database-is-private",
        fix="Set it to false: clients connect from inside the VPC",
        breaches=[
            ("publiclyAccessible is true", database(publiclyAccessible=True)),
            ("publiclyAccessible is not set", database()),
        ],
        complies={
            "private": database(publiclyAccessible=False),
            "unknown": database(publiclyAccessible=UNKNOWN),
        },
    ),
    Cases(
        rule="database-is-encrypted",
        fix=RESTORE,
        breaches=[
            ("storageEncrypted is false", database(storageEncrypted=False)),
            ("storageEncrypted is not set", database()),
        ],
        complies={"encrypted": database(storageEncrypted=True)},
    ),
    Cases(
        rule="database-requires-tls",
        fix='Set it to "1"',
        breaches=[
            ('rds.force_ssl is "0"', forced_tls("0")),
            ("rds.force_ssl is not set", resource(PARAMETERS, "group")),
        ],
        complies={
            "forced": (forced_tls("1"), database(parameterGroupName="group")),
            "unknown": resource(PARAMETERS, parameters=UNKNOWN),
        },
    ),
    Cases(
        rule="database-requires-tls",
        fix="Use a parameter group of this stack that sets rds.force_ssl",
        breaches=[
            (
                'parameterGroupName is "default.postgres16"',
                database(parameterGroupName="default.postgres16"),
            )
        ],
    ),
    Cases(
        rule="database-auto-minor-version-upgrade",
        fix="Set it to true",
        breaches=[
            ("autoMinorVersionUpgrade is false", database(autoMinorVersionUpgrade=False)),
        ],
        complies={"automatic": database(autoMinorVersionUpgrade=True)},
    ),
]
