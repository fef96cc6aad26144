"""What `make up` needs from the AWS account, read at once and before anything is changed.

A finding names what AWS has, what the stack needs, and the way to get it. A lookup that the
credentials do not allow is a note: AWS itself decides then.
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import yaml

from ops import shell, stack_files
from ops.bootstrap import SPOT_ROLE, has_spot_role, state_bucket
from ops.rds import RESTORE_TIME
from ops.recovery.aws import Aws
from ops.session import aws_account
from ops.shell import OperationError
from settings import Settings, sizing
from settings.cluster import EksSettings
from settings.database import RdsSettings, database_identifier
from settings.network import NetworkSettings
from settings.workers import key_of

# https://docs.aws.amazon.com/general/latest/gr/ec2-service.html#limits_ec2
ELASTIC_IPS, ON_DEMAND_VCPUS, SPOT_VCPUS = "L-0263D0A3", "L-1216C47A", "L-34B43A08"
GPU_VCPUS = "L-DB2E81BA"
# The platform's own pods request less; their nodes have at least two vCPUs, and DaemonSets.
PLATFORM_VCPUS = 4
DENIED = ("AccessDenied", "UnauthorizedOperation", "AuthorizationError", "not authorized")
# An older AWS CLI, or a Region without the API.
UNSUPPORTED = ("Invalid choice", "invalid choice", "Could not connect", "UnknownOperation")


@dataclass(frozen=True, kw_only=True)
class Finding:
    level: Literal["error", "warning", "note"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A stack that is about to be created or updated."""

    name: str
    settings: Settings
    aws: Aws


def check(name: str, settings: Settings) -> None:
    """Raise `OperationError` for everything that AWS would refuse later; print the rest."""
    findings = _findings(name, settings)
    for finding in findings:
        if finding.level != "error":
            print(f"{finding.level}: {finding.text}")
    errors = [f"  {finding.text}" for finding in findings if finding.level == "error"]
    if errors:
        raise OperationError(
            "\n".join(["Nothing was changed. The AWS account is not ready:", *errors])
        )


def show(name: str, settings: Settings) -> None:
    """Print what `check` would refuse: a preview changes nothing."""
    for finding in _findings(name, settings):
        print(f"{'warning' if finding.level == 'error' else finding.level}: {finding.text}")


def _findings(name: str, settings: Settings) -> list[Finding]:
    aws = aws_account(name)
    if aws is None:
        return []
    shell.require(shell.AWS)
    aws.check_reachable()
    wanted = Wanted(name=name, settings=settings, aws=aws)
    with ThreadPoolExecutor(max_workers=len(CHECKS)) as pool:
        return [f for found in pool.map(lambda what: _run(what, wanted), CHECKS) for f in found]


def _run(what: str, wanted: Wanted) -> list[Finding]:
    try:
        return list(CHECKS[what](wanted))
    except OperationError as error:
        if any(word in str(error) for word in (*DENIED, *UNSUPPORTED)):
            reason = str(error).splitlines()[-1]
            return [Finding(level="note", text=f"{what}: not checked. {reason}")]
        raise


def _error(text: str) -> Finding:
    return Finding(level="error", text=text)


def state_bucket_exists(wanted: Wanted) -> Iterator[Finding]:
    bucket = state_bucket(os.environ.get("PULUMI_BACKEND_URL", ""))
    if bucket is None:
        return
    try:
        wanted.aws.call("s3api", "head-bucket", "--bucket", bucket)
    except OperationError as error:
        # HeadBucket has no body: its errors are status codes.
        if "(404)" not in str(error):
            raise
        yield _error(
            f"state bucket {bucket}, of PULUMI_BACKEND_URL, does not exist: run "
            f"`make bootstrap STACK={wanted.name}`, or correct PULUMI_BACKEND_URL"
        )
        return
    versioning = wanted.aws.call("s3api", "get-bucket-versioning", "--bucket", bucket)
    if versioning.get("Status") != "Enabled":
        yield Finding(
            level="warning",
            text=f"state bucket {bucket} has no versioning: a damaged state cannot be restored. "
            f"`make bootstrap STACK={wanted.name}` enables it",
        )


def key_is_enabled(wanted: Wanted) -> Iterator[Finding]:
    given = yaml.safe_load(stack_files.stack_path(wanted.name).read_text()) or {}
    url = urlsplit(str(given.get("secretsprovider", "")))
    if url.scheme != "awskms":
        return
    key = f"{url.netloc}{url.path}".lstrip("/")
    (region,) = parse_qs(url.query).get("region", [wanted.aws.region])
    aws = Aws(region=region, tags={}, env=wanted.aws.env)
    found = aws.call_or_none("kms", "describe-key", "--key-id", key)
    if found is None:
        yield _error(
            f"KMS key {key} of `secretsprovider` in Pulumi.{wanted.name}.yaml does not exist in "
            f"{aws.region}: log in to the account of the stack, or correct the key"
        )
    elif found["KeyMetadata"]["KeyState"] != "Enabled":
        state = found["KeyMetadata"]["KeyState"]
        yield _error(
            f"KMS key {key} of `secretsprovider` in Pulumi.{wanted.name}.yaml is {state}, so no secret "
            "of the stack can be decrypted: `aws kms cancel-key-deletion`, `aws kms enable-key`"
        )


def spot_role_exists(wanted: Wanted) -> Iterator[Finding]:
    queues = [name for name, queue in wanted.settings.all_queues.items() if queue.spot]
    if queues and not has_spot_role(wanted.aws):
        yield _error(
            f"service-linked role {SPOT_ROLE} does not exist, so no spot node of "
            f"{', '.join(queues)} can start: run `make bootstrap STACK={wanted.name}`, or "
            "`aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`"
        )


def elastic_ips_suffice(wanted: Wanted) -> Iterator[Finding]:
    needed = _nat_gateways(wanted.settings)
    if not needed:
        return
    quota = _quota(wanted.aws, ELASTIC_IPS)
    rows = wanted.aws.call("ec2", "describe-addresses")["Addresses"]
    own = [row for row in rows if wanted.aws.tags.items() <= _tags(row).items()]
    others = len(rows) - len(own)
    if others + needed > quota:
        yield _error(
            f"quota {ELASTIC_IPS} (EC2-VPC Elastic IPs) of {wanted.aws.region} is {quota:g}, and "
            f"{others} are in use; the NAT gateways of {wanted.name} need {needed}: release some, set "
            f"network.nat to single, or {_request(ELASTIC_IPS, others + needed, wanted.aws)}"
        )


def _nat_gateways(settings: Settings) -> int:
    network = settings.network
    if not isinstance(network, NetworkSettings):
        return 0  # an existing VPC brings its own
    return network.az_count if network.nat == "per_az" else 1


def _tags(row: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}


def vcpus_suffice(wanted: Wanted) -> Iterator[Finding]:
    if not isinstance(wanted.settings.cluster, EksSettings):
        return
    # Instances with GPUs have quotas of their own.
    queues = [queue for queue in wanted.settings.all_queues.values() if not queue.gpu]

    def vcpus(*, spot: bool, at_most: bool) -> int:
        cpus = (
            sizing.worker_requests(queue)[0] * (queue.max if at_most else queue.min)
            for queue in queues
            if queue.spot == spot
        )
        return math.ceil(sum(cpus))

    quota = _quota(wanted.aws, ON_DEMAND_VCPUS)
    least = PLATFORM_VCPUS + vcpus(spot=False, at_most=False)
    most = PLATFORM_VCPUS + vcpus(spot=False, at_most=True)
    what = f"quota {ON_DEMAND_VCPUS} (vCPUs of on-demand instances) of {wanted.aws.region} is {quota:g}"
    if quota < least:
        yield _error(
            f"{what}; {wanted.name} needs about {least} for its platform and the minimum of its "
            f"workers: {_request(ON_DEMAND_VCPUS, most, wanted.aws)}"
        )
    elif quota < most:
        yield Finding(
            level="warning",
            text=f"{what}; all workers of {wanted.name} need about {most}: "
            f"{_request(ON_DEMAND_VCPUS, most, wanted.aws)}",
        )
    spot = vcpus(spot=True, at_most=True)
    if not spot:
        return
    quota = _quota(wanted.aws, SPOT_VCPUS)
    if quota < spot:
        # The node pool falls back to on-demand instances.
        yield Finding(
            level="warning",
            text=f"quota {SPOT_VCPUS} (vCPUs of spot instances) of {wanted.aws.region} is {quota:g}; all "
            f"spot workers of {wanted.name} need about {spot}, the rest gets on-demand nodes: "
            f"{_request(SPOT_VCPUS, spot, wanted.aws)}",
        )


def gpu_vcpus_suffice(wanted: Wanted) -> Iterator[Finding]:
    """On-demand instances of the families G: the pools fall back to them from Spot and P."""
    for name, queue in wanted.settings.all_queues.items():
        if not queue.gpu or not isinstance(wanted.settings.cluster, EksSettings):
            continue
        quota = _quota(wanted.aws, GPU_VCPUS)
        needed = math.ceil(sizing.worker_requests(queue)[0])
        if quota < needed:
            yield Finding(
                level="warning",
                text=f"quota {GPU_VCPUS} (vCPUs of on-demand G and VT instances) of "
                f"{wanted.aws.region} is {quota:g}; a worker of {key_of(name)} needs {needed}, and waits "
                f"without a node: {_request(GPU_VCPUS, needed * queue.max, wanted.aws)}",
            )


def _quota(aws: Aws, code: str) -> float:
    words = ["get-service-quota", "--service-code", "ec2", "--quota-code", code]
    return aws.call("service-quotas", *words)["Quota"]["Value"]


def _request(code: str, value: int, aws: Aws) -> str:
    return (
        "`aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {code} --desired-value {value} --region {aws.region}`"
    )


def instance_class_is_offered(wanted: Wanted) -> Iterator[Finding]:
    database = wanted.settings.database
    if not isinstance(database, RdsSettings):
        return
    words = ["--engine", "postgres", "--db-instance-class", database.instance_class]
    found = wanted.aws.call(
        "rds", "describe-orderable-db-instance-options", *words, "--max-items", "1"
    )
    if not found["OrderableDBInstanceOptions"]:
        yield _error(
            f"database.instance_class: RDS does not offer {database.instance_class} for PostgreSQL in "
            f"{wanted.aws.region}: choose another class, for example of the generation before"
        )


def backups_can_be_replicated(wanted: Wanted) -> Iterator[Finding]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_SourceRegion.html"""
    database = wanted.settings.database
    if not isinstance(database, RdsSettings) or database.replicate_to is None:
        return
    there = replace(wanted.aws, region=database.replicate_to)
    words = ["describe-source-regions", "--region-name", wanted.aws.region]
    rows = there.call("rds", *words)["SourceRegions"]
    if not any(row.get("SupportsDBInstanceAutomatedBackupsReplication") for row in rows):
        yield _error(
            f"database.replicate_to: RDS does not replicate backups from {wanted.aws.region} to "
            f"{there.region}: choose another Region. `aws rds describe-source-regions --region <Region>` "
            "lists from where it replicates to a Region"
        )


def replicated_backup_exists(wanted: Wanted) -> Iterator[Finding]:
    """Before the creation of the database only: the backup may expire later."""
    database = wanted.settings.database
    if not isinstance(database, RdsSettings) or database.replicated_backup is None:
        return
    aws, arn = wanted.aws, database.replicated_backup
    instance = database_identifier(database, wanted.name)
    if aws.exists("rds", "describe-db-instances", "--db-instance-identifier", instance):
        return
    words = ["describe-db-instance-automated-backups", "--db-instance-automated-backups-arn", arn]
    found = (aws.call_or_none("rds", *words) or {}).get("DBInstanceAutomatedBackups")
    if not found:
        yield _error(
            f"database.restore_from: {aws.region} has no backup {arn}: `aws rds "
            f"describe-db-instance-automated-backups --region {aws.region}` lists them"
        )
        return
    window = found[0].get("RestoreWindow", {})
    if not {"EarliestTime", "LatestTime"} <= window.keys():
        yield _error(
            f"database.restore_from: {arn} has no point in time yet: wait for its first copy"
        )
        return
    first, last = (datetime.fromisoformat(window[key]) for key in ("EarliestTime", "LatestTime"))
    time = database.restore_time
    if time is not None and not first <= datetime.fromisoformat(time) <= last:
        yield _error(
            f"database.restore_time: {time} is not between {first:{RESTORE_TIME}} and "
            f"{last:{RESTORE_TIME}}, which {arn} covers"
        )
        return
    yield Finding(
        level="note",
        text=f"{instance} will have the content of {time or f'{last:{RESTORE_TIME}}'}: what began later "
        "is lost",
    )


# Checks by what they read.
CHECKS: dict[str, Callable[[Wanted], Iterator[Finding]]] = {
    "state bucket": state_bucket_exists,
    "KMS key of the stack": key_is_enabled,
    "service-linked role of EC2 Spot": spot_role_exists,
    "quota of Elastic IPs": elastic_ips_suffice,
    "quota of vCPUs": vcpus_suffice,
    "quota of vCPUs with GPUs": gpu_vcpus_suffice,
    "RDS instance classes of the Region": instance_class_is_offered,
    "Regions that RDS replicates from": backups_can_be_replicated,
    "replicated backup": replicated_backup_exists,
}
