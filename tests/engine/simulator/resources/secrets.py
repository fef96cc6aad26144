"""Secrets Manager: https://docs.aws.amazon.com/secretsmanager/latest/apireference/"""

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    pairs,
    retag,
    tags_seen,
)

RECOVERY_DAYS = 30
CURRENT = "AWSCURRENT"


def _regions(values: Values) -> set[str]:
    return {replica["region"] for replica in values.get("replicas") or []}


def _create(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    replicas = [{"Region": region} for region in sorted(_regions(inputs))]
    created = cloud.client("secretsmanager").create_secret(
        **chosen(inputs, {"name": "Name", "description": "Description"}),
        **({"AddReplicaRegions": replicas} if replicas else {}),
        Tags=pairs(inputs.get("tagsAll")),
    )
    return created["ARN"], {"arn": created["ARN"]}


def _read(cloud: Cloud, id_: str, state: Values) -> Values | None:
    found = cloud.client("secretsmanager").describe_secret(SecretId=id_)
    if "DeletedDate" in found:
        return None
    there = {row["Region"] for row in found.get("ReplicationStatus", [])}
    seen = {"name": found["Name"], "description": found.get("Description")}
    if there != _regions(state):
        seen["replicas"] = [{"region": region} for region in sorted(there)]
    return {**managed(state, seen), "arn": id_, **tags_seen(found.get("Tags", []), state)}


def _update(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    secrets = cloud.client("secretsmanager")
    before, after = _regions(old), _regions(new)
    if before - after:
        _remove(cloud, id_, before - after)
    if after - before:
        replicas = [{"Region": region} for region in sorted(after - before)]
        secrets.replicate_secret_to_regions(SecretId=id_, AddReplicaRegions=replicas)
    return retag(
        old,
        new,
        lambda keys: secrets.untag_resource(SecretId=id_, TagKeys=keys),
        lambda tags: secrets.tag_resource(SecretId=id_, Tags=pairs(tags)),
    )


def _remove(cloud: Cloud, id_: str, regions: set[str]) -> None:
    cloud.client("secretsmanager").remove_regions_from_replication(
        SecretId=id_, RemoveReplicaRegions=sorted(regions)
    )


def _delete(cloud: Cloud, id_: str, state: Values) -> None:
    """As the official provider does: first the replicas.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/secretsmanager/secret.go
    """
    if regions := _regions(state):
        _remove(cloud, id_, regions)
    days = state.get("recoveryWindowInDays", RECOVERY_DAYS)
    how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    cloud.client("secretsmanager").delete_secret(SecretId=id_, **how)


def _create_version(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    put = cloud.client("secretsmanager").put_secret_value(
        SecretId=inputs["secretId"], SecretString=inputs["secretString"]
    )
    id_, arn = put["VersionId"], put["ARN"]
    return f"{arn}|{id_}", {"arn": arn, "versionId": id_, "versionStages": [CURRENT]}


def _read_version(cloud: Cloud, id_: str, state: Values) -> Values:
    secret, _, version = id_.partition("|")
    found = cloud.client("secretsmanager").get_secret_value(SecretId=secret, VersionId=version)
    return {"secretString": found["SecretString"], "arn": secret, "versionId": version}


RESOURCES = {
    "aws:secretsmanager/secret:Secret": Resource(
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
        replaces=frozenset({"name", "namePrefix"}),
        autoname="name",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Resource(
        create=_create_version,
        read=_read_version,
        # AWS deletes versions with their secret.
        delete=lambda cloud, id_, state: None,
        replaces=frozenset({"secretId", "secretString"}),
        secrets=frozenset({"secretString"}),
    ),
}
