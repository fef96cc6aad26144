"""CloudWatch Logs."""

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    retag,
    same_names,
    tags_seen,
)


def _create(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    logs, name = cloud.client("logs"), inputs["name"]
    tags = {"tags": inputs["tagsAll"]} if inputs.get("tagsAll") else {}
    names = same_names("kmsKeyId") | {"logGroupClass": "logGroupClass"}
    logs.create_log_group(logGroupName=name, **chosen(inputs, names), **tags)
    _retain(cloud, name, inputs)
    return name, {"arn": _group(cloud, name)["arn"].removesuffix(":*")}


def _retain(cloud: Cloud, name: str, inputs: Values) -> None:
    """Without a number of days, or with 0, events never expire."""
    logs, days = cloud.client("logs"), inputs.get("retentionInDays")
    if days:
        logs.put_retention_policy(logGroupName=name, retentionInDays=int(days))
    elif "retentionInDays" in _group(cloud, name):
        logs.delete_retention_policy(logGroupName=name)


def _group(cloud: Cloud, name: str) -> Values:
    found = cloud.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group for group in found if group["logGroupName"] == name), {})


def _read(cloud: Cloud, id_: str, state: Values) -> Values | None:
    group = _group(cloud, id_)
    if not group:
        return None
    arn = group["arn"].removesuffix(":*")
    tags = cloud.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]
    return {
        "name": id_,
        "arn": arn,
        "retentionInDays": group.get("retentionInDays", 0),
        **tags_seen(tags, state),
    }


def _update(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    logs = cloud.client("logs")
    _retain(cloud, id_, new)
    arn = _group(cloud, id_)["arn"].removesuffix(":*")
    return retag(
        old,
        new,
        lambda keys: logs.untag_resource(resourceArn=arn, tagKeys=keys),
        lambda tags: logs.tag_resource(resourceArn=arn, tags=tags),
    )


RESOURCES = {
    "aws:cloudwatch/logGroup:LogGroup": Resource(
        create=_create,
        read=_read,
        update=_update,
        delete=lambda cloud, id_, _: cloud.client("logs").delete_log_group(logGroupName=id_),
        replaces=frozenset({"name", "namePrefix", "logGroupClass"}),
        autoname="name",
        imported=lambda id_: {"name": id_},
    ),
}
