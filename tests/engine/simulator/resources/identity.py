"""IAM and KMS."""

import json
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    ordered,
    pairs,
    retag,
    tags_seen,
)

KEY_DELETION_DAYS = 30


def same_json(text: str | None, found: Any) -> Any:
    """The text in the state if AWS has an equal document, else that of AWS."""
    document = json.loads(found) if isinstance(found, str) else found
    if text and json.loads(text) == document:
        return text
    return json.dumps(document)


# --- roles and policies


def _create_role(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {
        "name": "RoleName",
        "path": "Path",
        "assumeRolePolicy": "AssumeRolePolicyDocument",
        "description": "Description",
        "maxSessionDuration": "MaxSessionDuration",
    }
    iam = cloud.client("iam")
    created = iam.create_role(**chosen(inputs, names), Tags=pairs(inputs.get("tagsAll")))["Role"]
    for arn in inputs.get("managedPolicyArns") or []:
        iam.attach_role_policy(RoleName=inputs["name"], PolicyArn=arn)
    return inputs["name"], {
        "arn": created["Arn"],
        "uniqueId": created["RoleId"],
        "createDate": created["CreateDate"].isoformat(),
        "maxSessionDuration": created.get("MaxSessionDuration", 3600),
        "path": created["Path"],
    }


def _read_role(cloud: Cloud, id_: str, state: Values) -> Values:
    iam = cloud.client("iam")
    role = iam.get_role(RoleName=id_)["Role"]
    attached = iam.list_attached_role_policies(RoleName=id_)["AttachedPolicies"]
    arns = [policy["PolicyArn"] for policy in attached]
    policy = same_json(state.get("assumeRolePolicy"), role["AssumeRolePolicyDocument"])
    seen = {
        "name": role["RoleName"],
        "assumeRolePolicy": policy,
        "description": role.get("Description"),
        "managedPolicyArns": ordered(state.get("managedPolicyArns"), arns),
    }
    # An adopted role has no `arn` in its state yet.
    return {
        **managed(state, seen),
        "arn": role["Arn"],
        "uniqueId": role["RoleId"],
        **tags_seen(role.get("Tags", []), state),
    }


def _update_role(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    iam = cloud.client("iam")
    if old.get("assumeRolePolicy") != new.get("assumeRolePolicy"):
        iam.update_assume_role_policy(RoleName=id_, PolicyDocument=new["assumeRolePolicy"])
    return retag(
        old,
        new,
        lambda keys: iam.untag_role(RoleName=id_, TagKeys=keys),
        lambda tags: iam.tag_role(RoleName=id_, Tags=pairs(tags)),
    )


def _delete_role(cloud: Cloud, id_: str, state: Values) -> None:
    iam = cloud.client("iam")
    for arn in state.get("managedPolicyArns") or []:
        iam.detach_role_policy(RoleName=id_, PolicyArn=arn)
    iam.delete_role(RoleName=id_)


ROLE = Resource(
    create=_create_role,
    read=_read_role,
    update=_update_role,
    delete=_delete_role,
    replaces=frozenset({"name", "namePrefix", "path"}),
    autoname="name",
)


def _put_policy(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    cloud.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
    )
    return f"{inputs['role']}:{inputs['name']}", {}


def _read_role_policy(cloud: Cloud, id_: str, state: Values) -> Values:
    role, _, name = id_.partition(":")
    found = cloud.client("iam").get_role_policy(RoleName=role, PolicyName=name)
    policy = same_json(state.get("policy"), found["PolicyDocument"])
    return {"role": role, "name": name, "policy": policy}


def _delete_role_policy(cloud: Cloud, id_: str, state: Values) -> None:
    role, _, name = id_.partition(":")
    cloud.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


ROLE_POLICY = Resource(
    create=_put_policy,
    read=_read_role_policy,
    update=lambda cloud, id_, old, new: _put_policy(cloud, new)[1],
    delete=_delete_role_policy,
    replaces=frozenset({"role", "name", "namePrefix"}),
    autoname="name",
)


def _attach(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    role = inputs["role"]
    cloud.client("iam").attach_role_policy(RoleName=role, PolicyArn=inputs["policyArn"])
    return f"{role}/{inputs['policyArn']}", {}


def _read_attachment(cloud: Cloud, id_: str, state: Values) -> Values | None:
    answer = cloud.client("iam").list_attached_role_policies(RoleName=state["role"])
    arns = {policy["PolicyArn"] for policy in answer["AttachedPolicies"]}
    return {} if state["policyArn"] in arns else None


def _detach(cloud: Cloud, id_: str, state: Values) -> None:
    cloud.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


ATTACHMENT = Resource(
    create=_attach,
    read=_read_attachment,
    delete=_detach,
    replaces=frozenset({"role", "policyArn"}),
)


# --- keys


def _key_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def _create_key(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    kms = cloud.client("kms")
    tags = _key_tags(inputs.get("tagsAll") or {})
    names = {"description": "Description", "policy": "Policy", "multiRegion": "MultiRegion"}
    created = kms.create_key(**chosen(inputs, names), Tags=tags)["KeyMetadata"]
    if inputs.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=created["KeyId"])
    outputs = {"arn": created["Arn"], "keyId": created["KeyId"], "isEnabled": True}
    return created["KeyId"], outputs


def _read_key(cloud: Cloud, id_: str, state: Values) -> Values | None:
    kms = cloud.client("kms")
    key = kms.describe_key(KeyId=id_)["KeyMetadata"]
    if key["KeyState"] == "PendingDeletion":
        return None
    tags = {t["TagKey"]: t["TagValue"] for t in kms.list_resource_tags(KeyId=id_)["Tags"]}
    rotation = kms.get_key_rotation_status(KeyId=id_)["KeyRotationEnabled"]
    seen = {"description": key["Description"], "enableKeyRotation": rotation}
    return {
        **managed(state, seen),
        "arn": key["Arn"],
        "keyId": key["KeyId"],
        **tags_seen(tags, state),
    }


def _update_key(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    kms = cloud.client("kms")
    if old.get("enableKeyRotation") != new.get("enableKeyRotation"):
        rotate = (
            kms.enable_key_rotation if new.get("enableKeyRotation") else kms.disable_key_rotation
        )
        rotate(KeyId=id_)
    if old.get("description") != new.get("description"):
        kms.update_key_description(KeyId=id_, Description=new.get("description", ""))
    return retag(
        old,
        new,
        lambda keys: kms.untag_resource(KeyId=id_, TagKeys=keys),
        lambda tags: kms.tag_resource(KeyId=id_, Tags=_key_tags(tags)),
    )


def _delete_key(cloud: Cloud, id_: str, state: Values) -> None:
    days = state.get("deletionWindowInDays", KEY_DELETION_DAYS)
    cloud.client("kms").schedule_key_deletion(KeyId=id_, PendingWindowInDays=days)


KEY = Resource(
    create=_create_key,
    read=_read_key,
    update=_update_key,
    delete=_delete_key,
    replaces=frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion"}),
)

RESOURCES = {
    "aws:iam/role:Role": ROLE,
    "aws:iam/rolePolicy:RolePolicy": ROLE_POLICY,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ATTACHMENT,
    "aws:kms/key:Key": KEY,
}
