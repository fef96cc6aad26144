"""S3: the bucket and its configurations."""

from collections.abc import Callable
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.identity import same_json
from tests.engine.simulator.resources.kind import Resource, Values, chosen, pairs, tags_seen


def _create_bucket(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    name = inputs["bucket"]
    where = {"LocationConstraint": cloud.region}
    cloud.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    _update_bucket(cloud, name, {}, inputs)
    return name, _bucket_outputs(cloud, name)


def _bucket_outputs(cloud: Cloud, name: str) -> Values:
    return {
        "arn": f"arn:aws:s3:::{name}",
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{cloud.region}.amazonaws.com",
        "bucketRegion": cloud.region,
        "region": cloud.region,
    }


def _read_bucket(cloud: Cloud, id_: str, state: Values) -> Values:
    s3 = cloud.client("s3")
    s3.get_bucket_location(Bucket=id_)
    outputs = _bucket_outputs(cloud, id_)
    if state.get("tagsAll"):
        return {**outputs, **tags_seen(s3.get_bucket_tagging(Bucket=id_)["TagSet"], state)}
    return outputs


def _update_bucket(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    tags = new.get("tagsAll") or {}
    if tags:
        cloud.client("s3").put_bucket_tagging(Bucket=id_, Tagging={"TagSet": pairs(tags)})
    return {"tagsAll": tags}


def _delete_bucket(cloud: Cloud, id_: str, state: Values) -> None:
    s3 = cloud.client("s3")
    if state.get("forceDestroy"):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=id_)
        for page in pages:
            for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=id_, Key=entry["Key"], VersionId=entry["VersionId"])
    s3.delete_bucket(Bucket=id_)


def _configuration(
    noun: str, field: str, value: Callable[[Values], Any], see: Callable[[Values, Values], Values]
) -> Resource:
    """A configuration of a bucket: put as a whole, read and deleted by the bucket's name.

    `value` is `field` of the call; `see` returns the outputs of an answer and the state.
    """

    def call(cloud: Cloud, operation: str, bucket: str, **arguments: Any) -> Any:
        return getattr(cloud.client("s3"), operation)(Bucket=bucket, **arguments)

    def put(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
        call(cloud, f"put_{noun}", inputs["bucket"], **{field: value(inputs)})
        return inputs["bucket"], {}

    def read(cloud: Cloud, id_: str, state: Values) -> Values:
        return {"bucket": id_, **see(call(cloud, f"get_{noun}", id_), state)}

    delete = f"delete_{noun.removesuffix('_configuration')}"
    return Resource(
        create=put,
        read=read,
        update=lambda cloud, id_, old, new: put(cloud, new)[1],
        delete=lambda cloud, id_, _: call(cloud, delete, id_),
        replaces=frozenset({"bucket"}),
    )


_BLOCK = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _block(inputs: Values) -> Values:
    return {theirs: bool(inputs.get(ours)) for ours, theirs in _BLOCK.items()}


def _see_block(answer: Values, state: Values) -> Values:
    block = answer["PublicAccessBlockConfiguration"]
    return {ours: block[theirs] for ours, theirs in _BLOCK.items()}


def _encryption(inputs: Values) -> Values:
    names = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
    defaults = [rule.get("applyServerSideEncryptionByDefault") or {} for rule in inputs["rules"]]
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": chosen(d, names)} for d in defaults]}


def _see_encryption(answer: Values, state: Values) -> Values:
    algorithms = [
        rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]
    ]
    known = [
        (rule.get("applyServerSideEncryptionByDefault") or {}).get("sseAlgorithm")
        for rule in state.get("rules", [])
    ]
    if algorithms == known:
        return {}
    return {
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": a}} for a in algorithms]
    }


def _lifecycle(inputs: Values) -> Values:
    return {"Rules": [_lifecycle_rule(rule) for rule in inputs.get("rules", [])]}


def _lifecycle_rule(rule: Values) -> Values:
    created: Values = {
        "ID": rule["id"],
        "Status": rule["status"],
        "Filter": {"Prefix": (rule.get("filter") or {}).get("prefix", "")},
    }
    if rule.get("expiration"):
        created["Expiration"] = chosen(rule["expiration"], {"days": "Days", "date": "Date"})
    if rule.get("abortIncompleteMultipartUpload"):
        days = rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"]
        created["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    if rule.get("noncurrentVersionExpiration"):
        days = rule["noncurrentVersionExpiration"]["noncurrentDays"]
        created["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    return created


def _see_lifecycle(answer: Values, state: Values) -> Values:
    seen, known = (
        {rule["ID"]: (rule["Status"], rule.get("Expiration")) for rule in rules}
        for rules in (answer["Rules"], _lifecycle(state)["Rules"])
    )
    if seen == known:
        return {}
    return {
        "rules": [
            {"id": id_, "status": status, "expiration": {"days": (expiration or {}).get("Days")}}
            for id_, (status, expiration) in seen.items()
        ]
    }


def _set_versions(cloud: Cloud, bucket: str, status: str) -> None:
    cloud.client("s3").put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": status}
    )


def _enable_versions(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    _set_versions(cloud, inputs["bucket"], inputs["versioningConfiguration"]["status"])
    return inputs["bucket"], {}


def _read_versions(cloud: Cloud, id_: str, state: Values) -> Values | None:
    status = cloud.client("s3").get_bucket_versioning(Bucket=id_).get("Status")
    if status is None:
        return None
    return {"bucket": id_, "versioningConfiguration": {"status": status}}


def _replication(inputs: Values) -> Values:
    rules = [
        {
            "ID": rule["id"],
            "Status": rule["status"],
            "Filter": {"Prefix": (rule.get("filter") or {}).get("prefix", "")},
            "DeleteMarkerReplication": {"Status": rule["deleteMarkerReplication"]["status"]},
            "Destination": {"Bucket": rule["destination"]["bucket"]},
        }
        for rule in inputs["rules"]
    ]
    return {"Role": inputs["role"], "Rules": rules}


def _see_replication(answer: Values, state: Values) -> Values:
    found = answer["ReplicationConfiguration"]
    seen, known = (
        {rule["ID"]: (rule["Status"], rule["Destination"]["Bucket"]) for rule in rules}
        for rules in (found["Rules"], _replication(state)["Rules"])
    )
    if seen == known:
        return {"role": found["Role"]}
    rules = [
        {"id": id_, "status": status, "destination": {"bucket": bucket}}
        for id_, (status, bucket) in seen.items()
    ]
    return {"role": found["Role"], "rules": rules}


RESOURCES = {
    "aws:s3/bucket:Bucket": Resource(
        create=_create_bucket,
        read=_read_bucket,
        update=_update_bucket,
        delete=_delete_bucket,
        replaces=frozenset({"bucket", "bucketPrefix", "objectLockEnabled"}),
        autoname="bucket",
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _configuration(
        "public_access_block", "PublicAccessBlockConfiguration", _block, _see_block
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _configuration(
        "bucket_encryption", "ServerSideEncryptionConfiguration", _encryption, _see_encryption
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _configuration(
        "bucket_lifecycle_configuration", "LifecycleConfiguration", _lifecycle, _see_lifecycle
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Resource(
        create=_enable_versions,
        read=_read_versions,
        update=lambda cloud, id_, old, new: _enable_versions(cloud, new)[1],
        # A bucket that had versions never becomes one without.
        delete=lambda cloud, id_, _: _set_versions(cloud, id_, "Suspended"),
        replaces=frozenset({"bucket"}),
    ),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": _configuration(
        "bucket_replication", "ReplicationConfiguration", _replication, _see_replication
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _configuration(
        "bucket_policy",
        "Policy",
        lambda inputs: inputs["policy"],
        lambda answer, state: {"policy": same_json(state.get("policy"), answer["Policy"])},
    ),
}
