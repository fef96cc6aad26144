"""S3: the bucket and its configurations."""

from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.identity import same_json
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    idempotent,
    pairs,
    present,
    tags_seen,
)


def _create_bucket(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    s3, name = cloud.client("s3"), inputs["bucket"]
    where = {"LocationConstraint": cloud.region}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    _tag_bucket(cloud, name, inputs)
    return name, _bucket_outputs(cloud, name)


def _tag_bucket(cloud: Cloud, name: str, inputs: Values) -> None:
    s3 = cloud.client("s3")
    if inputs.get("tagsAll"):
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(inputs["tagsAll"])})


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
    _tag_bucket(cloud, id_, new)
    return {"tagsAll": new.get("tagsAll") or {}}


def _delete_bucket(cloud: Cloud, id_: str, state: Values) -> None:
    s3 = cloud.client("s3")
    if state.get("forceDestroy"):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=id_)
        for page in pages:
            for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=id_, Key=entry["Key"], VersionId=entry["VersionId"])
    s3.delete_bucket(Bucket=id_)


BUCKET = Resource(
    create=_create_bucket,
    read=present(_read_bucket),
    update=_update_bucket,
    delete=idempotent(_delete_bucket),
    replaces=frozenset({"bucket", "bucketPrefix", "objectLockEnabled"}),
    autoname="bucket",
)

_BLOCK = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _put_block(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    block = {theirs: bool(inputs.get(ours)) for ours, theirs in _BLOCK.items()}
    cloud.client("s3").put_public_access_block(
        Bucket=inputs["bucket"], PublicAccessBlockConfiguration=block
    )
    return inputs["bucket"], {}


def _read_block(cloud: Cloud, id_: str, state: Values) -> Values:
    found = cloud.client("s3").get_public_access_block(Bucket=id_)
    block = found["PublicAccessBlockConfiguration"]
    return {"bucket": id_, **{ours: block[theirs] for ours, theirs in _BLOCK.items()}}


def _put_encryption(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    rules: list[dict[str, Any]] = []
    for rule in inputs["rules"]:
        default = rule.get("applyServerSideEncryptionByDefault") or {}
        names = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
        rules.append({"ApplyServerSideEncryptionByDefault": chosen(default, names)})
    cloud.client("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return inputs["bucket"], {}


def _read_encryption(cloud: Cloud, id_: str, state: Values) -> Values:
    found = cloud.client("s3").get_bucket_encryption(Bucket=id_)
    algorithms = [
        rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        for rule in found["ServerSideEncryptionConfiguration"]["Rules"]
    ]
    known = [
        (rule.get("applyServerSideEncryptionByDefault") or {}).get("sseAlgorithm")
        for rule in state.get("rules", [])
    ]
    if algorithms == known:
        return {"bucket": id_}
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": a}} for a in algorithms]
    return {"bucket": id_, "rules": rules}


def _lifecycle_rule(rule: Values) -> dict[str, Any]:
    created: dict[str, Any] = {
        "ID": rule["id"],
        "Status": rule["status"],
        "Filter": {"Prefix": (rule.get("filter") or {}).get("prefix", "")},
    }
    if rule.get("expiration"):
        created["Expiration"] = chosen(rule["expiration"], {"days": "Days", "date": "Date"})
    if rule.get("abortIncompleteMultipartUpload"):
        days = rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"]
        created["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return created


def _put_lifecycle(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    rules = [_lifecycle_rule(rule) for rule in inputs["rules"]]
    cloud.client("s3").put_bucket_lifecycle_configuration(
        Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
    )
    return inputs["bucket"], {}


def _read_lifecycle(cloud: Cloud, id_: str, state: Values) -> Values:
    found = cloud.client("s3").get_bucket_lifecycle_configuration(Bucket=id_)["Rules"]
    seen = {rule["ID"]: (rule["Status"], rule.get("Expiration")) for rule in found}
    known = {
        rule["ID"]: (rule["Status"], rule.get("Expiration"))
        for rule in map(_lifecycle_rule, state.get("rules", []))
    }
    if seen == known:
        return {"bucket": id_}
    rules = [
        {
            "id": rule["ID"],
            "status": rule["Status"],
            "expiration": {"days": rule.get("Expiration", {}).get("Days")},
        }
        for rule in found
    ]
    return {"bucket": id_, "rules": rules}


def _put_bucket_policy(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    cloud.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])
    return inputs["bucket"], {}


def _read_bucket_policy(cloud: Cloud, id_: str, state: Values) -> Values:
    found = cloud.client("s3").get_bucket_policy(Bucket=id_)["Policy"]
    return {"bucket": id_, "policy": same_json(state.get("policy"), found)}


def _configuration(put: Any, read: Any, delete: str) -> Resource:
    """A configuration of a bucket: put as a whole, read and deleted by the bucket's name."""
    return Resource(
        create=put,
        read=present(read),
        update=lambda cloud, id_, old, new: put(cloud, new)[1],
        delete=idempotent(lambda cloud, id_, _: getattr(cloud.client("s3"), delete)(Bucket=id_)),
        replaces=frozenset({"bucket"}),
    )


RESOURCES = {
    "aws:s3/bucket:Bucket": BUCKET,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _configuration(
        _put_block, _read_block, "delete_public_access_block"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _configuration(
        _put_encryption, _read_encryption, "delete_bucket_encryption"
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _configuration(
        _put_lifecycle, _read_lifecycle, "delete_bucket_lifecycle"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _configuration(
        _put_bucket_policy, _read_bucket_policy, "delete_bucket_policy"
    ),
}
