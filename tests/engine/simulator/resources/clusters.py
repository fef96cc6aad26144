"""EKS: https://docs.aws.amazon.com/eks/latest/APIReference/"""

from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    idempotent,
    managed,
    present,
    tags_seen,
)

_LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def _create_cluster(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    name = inputs["name"]
    names = {
        "roleArn": "roleArn",
        "version": "version",
        "accessConfig": "accessConfig",
        "computeConfig": "computeConfig",
        "storageConfig": "storageConfig",
        "kubernetesNetworkConfig": "kubernetesNetworkConfig",
        "upgradePolicy": "upgradePolicy",
        "deletionProtection": "deletionProtection",
        "bootstrapSelfManagedAddons": "bootstrapSelfManagedAddons",
    }
    cloud.client("eks").create_cluster(
        name=name,
        resourcesVpcConfig=_vpc(inputs["vpcConfig"]),
        logging=_logging(inputs.get("enabledClusterLogTypes") or []),
        tags=inputs.get("tagsAll") or {},
        **_encryption(inputs),
        **chosen(inputs, names),
    )
    return name, _cluster_outputs(cloud, name, inputs)


def _vpc(config: Values) -> dict[str, Any]:
    return chosen(
        config,
        {
            "subnetIds": "subnetIds",
            "securityGroupIds": "securityGroupIds",
            "endpointPublicAccess": "endpointPublicAccess",
            "endpointPrivateAccess": "endpointPrivateAccess",
            "publicAccessCidrs": "publicAccessCidrs",
        },
    )


def _logging(types: list[str]) -> dict[str, Any]:
    off = [kind for kind in _LOG_TYPES if kind not in types]
    return {
        "clusterLogging": [
            {"types": kinds, "enabled": enabled}
            for kinds, enabled in ((types, True), (off, False))
            if kinds
        ]
    }


def _encryption(inputs: Values) -> dict[str, Any]:
    config = inputs.get("encryptionConfig")
    if not config:
        return {}
    key = {"keyArn": config["provider"]["keyArn"]}
    return {"encryptionConfig": [{"resources": config["resources"], "provider": key}]}


def _cluster_outputs(cloud: Cloud, name: str, state: Values) -> Values:
    cluster = cloud.client("eks").describe_cluster(name=name)["cluster"]
    found = cluster["resourcesVpcConfig"]
    config = state.get("vpcConfig") or {}
    subnets = config.get("subnetIds", [])
    if set(subnets) != set(found["subnetIds"]):
        subnets = found["subnetIds"]
    authority = cluster["certificateAuthority"]["data"]
    return {
        "name": name,
        "arn": cluster["arn"],
        "endpoint": cluster["endpoint"],
        "certificateAuthority": {"data": authority},
        "certificateAuthorities": [{"data": authority}],
        "identities": [{"oidcs": [{"issuer": cluster["identity"]["oidc"]["issuer"]}]}],
        "platformVersion": cluster["platformVersion"],
        "status": cluster["status"],
        "createdAt": cluster["createdAt"].isoformat(),
        "vpcConfig": {
            **config,
            "subnetIds": subnets,
            "clusterSecurityGroupId": found["clusterSecurityGroupId"],
            "vpcId": found["vpcId"],
        },
    }


def _read_cluster(cloud: Cloud, id_: str, state: Values) -> Values:
    cluster = cloud.client("eks").describe_cluster(name=id_)["cluster"]
    on = [c["types"] for c in cluster["logging"]["clusterLogging"] if c["enabled"]]
    types = [kind for group in on for kind in group]
    known = state.get("enabledClusterLogTypes") or []
    seen = {
        "version": cluster["version"],
        "roleArn": cluster["roleArn"],
        "deletionProtection": cluster.get("deletionProtection", False),
        "enabledClusterLogTypes": known if set(known) == set(types) else types,
    }
    return {
        **managed(state, seen),
        **_cluster_outputs(cloud, id_, state),
        **tags_seen(cluster.get("tags", {}), state),
    }


def _update_cluster(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    eks = cloud.client("eks")
    if old.get("version") != new.get("version"):
        eks.update_cluster_version(name=id_, version=new["version"])
    if old.get("deletionProtection") != new.get("deletionProtection"):
        protect = bool(new.get("deletionProtection"))
        eks.update_cluster_config(name=id_, deletionProtection=protect)
    before, after = _vpc(old.get("vpcConfig") or {}), _vpc(new.get("vpcConfig") or {})
    if before != after:
        eks.update_cluster_config(name=id_, resourcesVpcConfig=after)
    if old.get("enabledClusterLogTypes") != new.get("enabledClusterLogTypes"):
        logging = _logging(new.get("enabledClusterLogTypes") or [])
        eks.update_cluster_config(name=id_, logging=logging)
    tags = _retag(cloud, old["arn"], old, new)
    return {**_cluster_outputs(cloud, id_, new), **tags}


def _retag(cloud: Cloud, arn: str, old: Values, new: Values) -> Values:
    before, after = old.get("tagsAll") or {}, new.get("tagsAll") or {}
    eks = cloud.client("eks")
    removed = sorted(before.keys() - after.keys())
    if removed:
        eks.untag_resource(resourceArn=arn, tagKeys=removed)
    if after and after != before:
        eks.tag_resource(resourceArn=arn, tags=after)
    return {"tagsAll": after}


CLUSTER = Resource(
    create=_create_cluster,
    read=present(_read_cluster),
    update=_update_cluster,
    delete=idempotent(lambda cloud, id_, _: cloud.client("eks").delete_cluster(name=id_)),
    replaces=frozenset({"name", "roleArn", "encryptionConfig", "bootstrapSelfManagedAddons"}),
    autoname="name",
)


def _create_addon(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {
        "clusterName": "clusterName",
        "addonName": "addonName",
        "addonVersion": "addonVersion",
        "configurationValues": "configurationValues",
    }
    addon = cloud.client("eks").create_addon(
        **chosen(inputs, names), tags=inputs.get("tagsAll") or {}
    )["addon"]
    outputs = {"arn": addon["addonArn"], "addonVersion": addon["addonVersion"]}
    return f"{inputs['clusterName']}:{inputs['addonName']}", outputs


def _read_addon(cloud: Cloud, id_: str, state: Values) -> Values:
    cluster, _, name = id_.partition(":")
    addon = cloud.client("eks").describe_addon(clusterName=cluster, addonName=name)["addon"]
    return {
        "arn": addon["addonArn"],
        "addonVersion": addon["addonVersion"],
        **managed(state, {"configurationValues": addon.get("configurationValues")}),
        **tags_seen(addon.get("tags", {}), state),
    }


def _update_addon(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    names = {"addonVersion": "addonVersion", "configurationValues": "configurationValues"}
    cluster, _, name = id_.partition(":")
    cloud.client("eks").update_addon(clusterName=cluster, addonName=name, **chosen(new, names))
    return _retag(cloud, old["arn"], old, new)


def _delete_addon(cloud: Cloud, id_: str, state: Values) -> None:
    cluster, _, name = id_.partition(":")
    cloud.client("eks").delete_addon(clusterName=cluster, addonName=name)


ADDON = Resource(
    create=_create_addon,
    read=present(_read_addon),
    update=_update_addon,
    delete=idempotent(_delete_addon),
    replaces=frozenset({"clusterName", "addonName"}),
)

_ENTRY = {
    "clusterName": "clusterName",
    "principalArn": "principalArn",
    "kubernetesGroups": "kubernetesGroups",
    "type": "type",
    "userName": "username",
}


def _create_entry(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    entry = cloud.client("eks").create_access_entry(
        **chosen(inputs, _ENTRY), tags=inputs.get("tagsAll") or {}
    )["accessEntry"]
    id_ = f"{inputs['clusterName']}:{inputs['principalArn']}"
    return id_, {"accessEntryArn": entry["accessEntryArn"], "userName": entry["username"]}


def _read_entry(cloud: Cloud, id_: str, state: Values) -> Values:
    cluster, _, principal = id_.partition(":")
    entry = cloud.client("eks").describe_access_entry(clusterName=cluster, principalArn=principal)
    found = entry["accessEntry"]
    return {
        "accessEntryArn": found["accessEntryArn"],
        **managed(state, {"type": found["type"]}),
        **tags_seen(found.get("tags", {}), state),
    }


def _update_entry(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    names = {key: value for key, value in _ENTRY.items() if key != "type"}
    cloud.client("eks").update_access_entry(**chosen(new, names))
    return _retag(cloud, old["accessEntryArn"], old, new)


def _delete_entry(cloud: Cloud, id_: str, state: Values) -> None:
    cluster, _, principal = id_.partition(":")
    cloud.client("eks").delete_access_entry(clusterName=cluster, principalArn=principal)


ACCESS_ENTRY = Resource(
    create=_create_entry,
    read=present(_read_entry),
    update=_update_entry,
    delete=idempotent(_delete_entry),
    replaces=frozenset({"clusterName", "principalArn", "type"}),
)


def _associate(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {"clusterName": "clusterName", "principalArn": "principalArn", "policyArn": "policyArn"}
    scope = inputs["accessScope"]
    cloud.client("eks").associate_access_policy(
        **chosen(inputs, names),
        accessScope=chosen(scope, {"type": "type", "namespaces": "namespaces"}),
    )
    id_ = f"{inputs['clusterName']}#{inputs['principalArn']}#{inputs['policyArn']}"
    return id_, {}


def _policies(cloud: Cloud, state: Values) -> dict[str, dict[str, Any]]:
    answer = cloud.client("eks").list_associated_access_policies(
        clusterName=state["clusterName"], principalArn=state["principalArn"]
    )
    return {policy["policyArn"]: policy for policy in answer["associatedAccessPolicies"]}


def _read_policy(cloud: Cloud, id_: str, state: Values) -> Values | None:
    return {} if state["policyArn"] in _policies(cloud, state) else None


def _disassociate(cloud: Cloud, id_: str, state: Values) -> None:
    names = {"clusterName": "clusterName", "principalArn": "principalArn", "policyArn": "policyArn"}
    cloud.client("eks").disassociate_access_policy(**chosen(state, names))


ACCESS_POLICY = Resource(
    create=_associate,
    read=present(_read_policy),
    delete=idempotent(_disassociate),
    replaces=frozenset({"clusterName", "principalArn", "policyArn", "accessScope"}),
)


def _create_pod_identity(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = ("clusterName", "namespace", "serviceAccount", "roleArn")
    created = cloud.client("eks").create_pod_identity_association(
        **{name: inputs[name] for name in names}, tags=inputs.get("tagsAll") or {}
    )["association"]
    outputs = {
        "associationArn": created["associationArn"],
        "associationId": created["associationId"],
    }
    return created["associationId"], outputs


def _read_pod_identity(cloud: Cloud, id_: str, state: Values) -> Values:
    found = cloud.client("eks").describe_pod_identity_association(
        clusterName=state["clusterName"], associationId=id_
    )["association"]
    return {
        "roleArn": found["roleArn"],
        "associationArn": found["associationArn"],
        "associationId": id_,
        **tags_seen(found.get("tags", {}), state),
    }


def _update_pod_identity(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    cloud.client("eks").update_pod_identity_association(
        clusterName=new["clusterName"], associationId=id_, roleArn=new["roleArn"]
    )
    return _retag(cloud, old["associationArn"], old, new)


def _delete_pod_identity(cloud: Cloud, id_: str, state: Values) -> None:
    cloud.client("eks").delete_pod_identity_association(
        clusterName=state["clusterName"], associationId=id_
    )


POD_IDENTITY = Resource(
    create=_create_pod_identity,
    read=present(_read_pod_identity),
    update=_update_pod_identity,
    delete=idempotent(_delete_pod_identity),
    replaces=frozenset({"clusterName", "namespace", "serviceAccount"}),
)

RESOURCES = {
    "aws:eks/cluster:Cluster": CLUSTER,
    "aws:eks/addon:Addon": ADDON,
    "aws:eks/accessEntry:AccessEntry": ACCESS_ENTRY,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ACCESS_POLICY,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": POD_IDENTITY,
}
