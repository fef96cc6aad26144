"""RDS for PostgreSQL."""

import re
from collections.abc import Iterator

from policies.versions import POSTGRESQL, POSTGRESQL_SOURCE
from tests.engine.simulator.rules.rule import Inputs, between, one_of, pattern, rule
from tests.engine.simulator.schema import Refusal

_API = "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/"
_INSTANCE = "aws:rds/instance:Instance"
_SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
_PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
_CREATE = f"{_API}API_CreateDBInstance.html"
# They take effect when the server starts.
STATIC = {"max_connections", "shared_buffers", "shared_preload_libraries", "wal_buffers"}
RESERVED_USERS = {
    "admin",
    "rdsadmin",
    "rdsrepladmin",
    "rdstopmgr",
    "rds_superuser",
    "rds_replication",
    "rds_password",
    "rds_iam",
}
RESERVED_DATABASES = {"rdsadmin", "template0", "template1", "user", "select", "table"}
SIZES = r"(micro|small|medium|large|xlarge|\d{1,2}xlarge|metal)"
CUSTOM_IOPS_GIB = 400
PASSWORDS = ("password", "passwordWo", "manageMasterUserPassword")
# An instance made from another one has that one's password.
ORIGINS = ("replicateSourceDb", "restoreToPointInTime", "snapshotIdentifier")
PASSWORD = r"[!#-.0-?A-~]{8,128}"


@rule(_SUBNETS, source=f"{_GUIDE}USER_VPC.WorkingWithRDSInstanceinaVPC.html")
def subnets_in_two_zones(inputs: Inputs) -> Iterator[Refusal]:
    subnets = inputs.get("subnetIds")
    if isinstance(subnets, list) and len(subnets) < 2:
        yield Refusal("subnetIds", f"should be two at least, in two zones, got {len(subnets)}")


@rule(_SUBNETS, source=f"{_API}API_CreateDBSubnetGroup.html")
def subnet_group_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"(?!default$)[a-z0-9 ._-]{1,255}"
    yield from pattern("name", inputs.get("name"), regex, "lower case, up to 255, and not default")


@rule(_PARAMETERS, source=POSTGRESQL_SOURCE)
def parameter_family(inputs: Inputs) -> Iterator[Refusal]:
    yield from one_of("family", inputs.get("family"), [f"postgres{v}" for v in POSTGRESQL])


@rule(_PARAMETERS, source=f"{_API}API_Parameter.html")
def parameter_method(inputs: Inputs) -> Iterator[Refusal]:
    for index, parameter in enumerate(_parameters(inputs)):
        method = parameter.get("applyMethod")
        yield from one_of(
            f"parameters[{index}].applyMethod", method, ("immediate", "pending-reboot")
        )


@rule(_PARAMETERS, source=f"{_GUIDE}USER_WorkingWithParamGroups.html")
def static_parameters_wait(inputs: Inputs) -> Iterator[Refusal]:
    for index, parameter in enumerate(_parameters(inputs)):
        at_once = parameter.get("applyMethod", "immediate") == "immediate"
        if parameter.get("name") in STATIC and at_once:
            reason = f"{parameter['name']} is static: applyMethod should be pending-reboot"
            yield Refusal(f"parameters[{index}].applyMethod", reason)


@rule(_PARAMETERS, source=f"{_GUIDE}PostgreSQL.Concepts.General.SSL.html")
def forced_tls_is_a_switch(inputs: Inputs) -> Iterator[Refusal]:
    for index, parameter in enumerate(_parameters(inputs)):
        if parameter.get("name") == "rds.force_ssl":
            yield from one_of(f"parameters[{index}].value", parameter.get("value"), ("0", "1"))


def _parameters(inputs: Inputs) -> list[Inputs]:
    found = inputs.get("parameters")
    return [p for p in found if isinstance(p, dict)] if isinstance(found, list) else []


@rule(_INSTANCE, source=_CREATE)
def engine(inputs: Inputs) -> Iterator[Refusal]:
    yield from one_of("engine", inputs.get("engine"), ("postgres",))


@rule(_INSTANCE, source=POSTGRESQL_SOURCE)
def engine_version(inputs: Inputs) -> Iterator[Refusal]:
    known = ", ".join(POSTGRESQL)
    regex = rf"({'|'.join(POSTGRESQL)})(\.\d+)?"
    what = f"one of {known}, with or without a minor version such as .8"
    yield from pattern("engineVersion", inputs.get("engineVersion"), regex, what)


@rule(_INSTANCE, source=f"{_GUIDE}USER_UpgradeDBInstance.Upgrading.html")
def major_version_alone_moves(inputs: Inputs) -> Iterator[Refusal]:
    version = inputs.get("engineVersion")
    if inputs.get("autoMinorVersionUpgrade") is False and re.fullmatch(r"\d+", str(version)):
        yield Refusal("engineVersion", f"{version} alone needs autoMinorVersionUpgrade")


@rule(_INSTANCE, source=f"{_GUIDE}Concepts.DBInstanceClass.Types.html")
def instance_class(inputs: Inputs) -> Iterator[Refusal]:
    regex = rf"db\.[a-z]+\d+[a-z]*\.{SIZES}"
    yield from pattern("instanceClass", inputs.get("instanceClass"), regex, "such as db.m7g.large")


@rule(_INSTANCE, source=f"{_GUIDE}CHAP_Storage.html")
def storage_type(inputs: Inputs) -> Iterator[Refusal]:
    yield from one_of(
        "storageType", inputs.get("storageType"), ("gp2", "gp3", "io1", "io2", "standard")
    )


@rule(_INSTANCE, source=f"{_GUIDE}CHAP_Storage.html")
def storage_size(inputs: Inputs) -> Iterator[Refusal]:
    yield from between("allocatedStorage", inputs.get("allocatedStorage"), 20, 65536, " GiB")


@rule(_INSTANCE, source=f"{_GUIDE}USER_PIOPS.Autoscaling.html")
def storage_can_grow(inputs: Inputs) -> Iterator[Refusal]:
    now, most = inputs.get("allocatedStorage"), inputs.get("maxAllocatedStorage")
    # 0 turns growth off.
    if isinstance(now, int) and isinstance(most, int) and 0 != most * 10 < now * 11:
        reason = f"should exceed allocatedStorage by a tenth, got {most} and {now}"
        yield Refusal("maxAllocatedStorage", reason)


@rule(_INSTANCE, source=f"{_GUIDE}CHAP_Storage.html#gp3-storage")
def small_gp3_has_no_choice(inputs: Inputs) -> Iterator[Refusal]:
    size = inputs.get("allocatedStorage")
    small = inputs.get("storageType") == "gp3" and isinstance(size, int) and size < CUSTOM_IOPS_GIB
    for name in ("iops", "storageThroughput"):
        if small and inputs.get(name) is not None:
            yield Refusal(name, f"can be chosen for gp3 from {CUSTOM_IOPS_GIB} GiB, got {size}")


@rule(_INSTANCE, source=_CREATE)
def identifier(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"(?!.*--)[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    what = "1 to 63 letters, digits and single hyphens, a letter first"
    yield from pattern("identifier", inputs.get("identifier"), regex, what)


@rule(_INSTANCE, source=_CREATE)
def database_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"[a-zA-Z_][a-zA-Z0-9_]{0,62}"
    yield from pattern(
        "dbName", inputs.get("dbName"), regex, "1 to 63 letters, digits or _, no digit first"
    )


@rule(_INSTANCE, source=_CREATE)
def database_name_is_free(inputs: Inputs) -> Iterator[Refusal]:
    name = inputs.get("dbName")
    if isinstance(name, str) and name.lower() in RESERVED_DATABASES:
        yield Refusal("dbName", f"{name!r} is a reserved word")


@rule(_INSTANCE, source=_CREATE)
def user_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"[a-zA-Z][a-zA-Z0-9_]{0,62}"
    yield from pattern(
        "username", inputs.get("username"), regex, "1 to 63 letters, digits or _, a letter first"
    )


@rule(_INSTANCE, source=_CREATE)
def user_name_is_free(inputs: Inputs) -> Iterator[Refusal]:
    name = inputs.get("username")
    # PostgreSQL keeps the prefix pg_ to itself.
    if isinstance(name, str) and (name.lower() in RESERVED_USERS or name.startswith("pg_")):
        yield Refusal("username", f"{name!r} is a reserved word for this engine")


@rule(_INSTANCE, source=_CREATE)
def password(inputs: Inputs) -> Iterator[Refusal]:
    text = inputs.get("password")
    if isinstance(text, str) and not re.fullmatch(PASSWORD, text):
        yield Refusal("password", 'should be 8 to 128 printable characters without / @ " and space')


@rule(_INSTANCE, source=f"{_GUIDE}rds-secrets-manager.html")
def one_keeper_of_the_password(inputs: Inputs) -> Iterator[Refusal]:
    if inputs.get("manageMasterUserPassword") is True and inputs.get("password") is not None:
        yield Refusal("manageMasterUserPassword", "excludes password: RDS makes its own")


@rule(_INSTANCE, source=_CREATE)
def somebody_keeps_the_password(inputs: Inputs) -> Iterator[Refusal]:
    if all(inputs.get(name) in (None, False) for name in PASSWORDS + ORIGINS):
        yield Refusal("password", "is required without manageMasterUserPassword")


@rule(_INSTANCE, source=_CREATE)
def backups(inputs: Inputs) -> Iterator[Refusal]:
    yield from between("backupRetentionPeriod", inputs.get("backupRetentionPeriod"), 0, 35, " days")


@rule(_INSTANCE, source=_CREATE)
def a_standby_chooses_its_zone(inputs: Inputs) -> Iterator[Refusal]:
    if inputs.get("multiAz") is True and inputs.get("availabilityZone"):
        yield Refusal("availabilityZone", "cannot be chosen with multiAz")


@rule(_INSTANCE, source=f"{_API}API_DeleteDBInstance.html")
def final_snapshot_has_a_name(inputs: Inputs) -> Iterator[Refusal]:
    if not inputs.get("skipFinalSnapshot") and inputs.get("finalSnapshotIdentifier") is None:
        yield Refusal("finalSnapshotIdentifier", "is required unless skipFinalSnapshot is true")


@rule(_INSTANCE, source=f"{_API}API_DeleteDBInstance.html")
def final_snapshot_name(inputs: Inputs) -> Iterator[Refusal]:
    name = inputs.get("finalSnapshotIdentifier")
    regex = r"(?!.*--)[a-zA-Z]([a-zA-Z0-9-]{0,253}[a-zA-Z0-9])?"
    what = "1 to 255 letters, digits and single hyphens, a letter first"
    yield from pattern("finalSnapshotIdentifier", name, regex, what)


@rule(_INSTANCE, source=_CREATE)
def insights_retention(inputs: Inputs) -> Iterator[Refusal]:
    days = inputs.get("performanceInsightsRetentionPeriod")
    if (
        isinstance(days, int)
        and days not in (7, 731)
        and not (days % 31 == 0 and 31 <= days <= 713)
    ):
        reason = f"should be 7, 731 or 1 to 23 times 31 days, got {days}"
        yield Refusal("performanceInsightsRetentionPeriod", reason)


@rule(_INSTANCE, source=f"{_GUIDE}USER_LogAccess.Concepts.PostgreSQL.html")
def exported_logs(inputs: Inputs) -> Iterator[Refusal]:
    kinds = inputs.get("enabledCloudwatchLogsExports")
    for kind in kinds if isinstance(kinds, list) else []:
        known = ("postgresql", "upgrade", "iam-db-auth-error")
        yield from one_of("enabledCloudwatchLogsExports", kind, known)


@rule(_INSTANCE, source=_CREATE)
def monitoring(inputs: Inputs) -> Iterator[Refusal]:
    interval = inputs.get("monitoringInterval")
    yield from one_of("monitoringInterval", interval, (0, 1, 5, 10, 15, 30, 60))


@rule(_INSTANCE, source=_CREATE)
def monitoring_has_a_role(inputs: Inputs) -> Iterator[Refusal]:
    interval = inputs.get("monitoringInterval")
    if isinstance(interval, int) and interval and inputs.get("monitoringRoleArn") is None:
        yield Refusal("monitoringRoleArn", f"is required with a monitoringInterval of {interval}")
