"""EKS: https://docs.aws.amazon.com/eks/latest/APIReference/"""

from collections.abc import Callable
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    ordered,
    retag,
    same_names,
    tags_seen,
)

_LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def _create_cluster(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    name = inputs["name"]
    names = same_names(
        "roleArn",
        "version",
        "accessConfig",
        "computeConfig",
        "storageConfig",
        "kubernetesNetworkConfig",
        "upgradePolicy",
        "deletionProtection",
        "bootstrapSelfManagedAddons",
    )
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
    names = same_names(
        "subnetIds",
        "securityGroupIds",
        "endpointPublicAccess",
        "endpointPrivateAccess",
        "publicAccessCidrs",
    )
    return chosen(config, names)


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
            "subnetIds": ordered(config.get("subnetIds"), found["subnetIds"]),
            "clusterSecurityGroupId": found["clusterSecurityGroupId"],
            "vpcId": found["vpcId"],
        },
    }


def _read_cluster(cloud: Cloud, id_: str, state: Values) -> Values:
    cluster = cloud.client("eks").describe_cluster(name=id_)["cluster"]
    on = [c["types"] for c in cluster["logging"]["clusterLogging"] if c["enabled"]]
    types = [kind for group in on for kind in group]
    seen = {
        "version": cluster["version"],
        "roleArn": cluster["roleArn"],
        "deletionProtection": cluster.get("deletionProtection", False),
        "enabledClusterLogTypes": ordered(state.get("enabledClusterLogTypes"), types),
    }
    outputs = _cluster_outputs(cloud, id_, state)
    found = cluster["resourcesVpcConfig"]
    cidrs = ordered(outputs["vpcConfig"].get("publicAccessCidrs"), found["publicAccessCidrs"])
    endpoint = {key: found[key] for key in ("endpointPublicAccess", "endpointPrivateAccess")}
    outputs["vpcConfig"] |= {**endpoint, "publicAccessCidrs": cidrs}
    return {
        **managed(state, seen),
        **outputs,
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
    if old.get("computeConfig") != new.get("computeConfig"):
        eks.update_cluster_config(name=id_, computeConfig=new["computeConfig"])
    if old.get("enabledClusterLogTypes") != new.get("enabledClusterLogTypes"):
        logging = _logging(new.get("enabledClusterLogTypes") or [])
        eks.update_cluster_config(name=id_, logging=logging)
    tags = _retag(cloud, old["arn"], old, new)
    return {**_cluster_outputs(cloud, id_, new), **tags}


def _retag(cloud: Cloud, arn: str, old: Values, new: Values) -> Values:
    eks = cloud.client("eks")
    return retag(
        old,
        new,
        lambda keys: eks.untag_resource(resourceArn=arn, tagKeys=keys),
        lambda tags: eks.tag_resource(resourceArn=arn, tags=tags),
    )


def _part(
    noun: str,
    answer: str,
    *,
    id_: Callable[[Values], str],
    key: str,
    fixed: dict[str, str],
    changes: dict[str, str],
    computed: dict[str, str],
    seen: dict[str, str],
    arn: str = "arn",
    imported: Callable[[str], Values] | None = None,
) -> Resource:
    """A part of a cluster: Create<noun>, Describe<noun>, Update<noun>, Delete<noun>.

    `answer` is the field of its description, `key` the argument that selects it. `fixed` and
    `changes` are its inputs by their AWS names, `computed` its outputs, and `seen` the inputs that
    a read returns. `arn` is the output for tags.
    """

    def call(cloud: Cloud, operation: str, id_: str, state: Values, **arguments: Any) -> Any:
        # The ID of an association has no cluster.
        cluster, _, name = id_.rpartition(":") if key == "associationId" else id_.partition(":")
        where = {"clusterName": cluster or state["clusterName"], key: name}
        return getattr(cloud.client("eks"), f"{operation}_{noun}")(**where, **arguments)

    def outputs(found: Values) -> Values:
        return {ours: found[theirs] for ours, theirs in computed.items()}

    def create(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
        arguments = {**chosen(inputs, fixed | changes), "tags": inputs.get("tagsAll") or {}}
        created = getattr(cloud.client("eks"), f"create_{noun}")(**arguments)[answer]
        return id_(created), outputs(created)

    def read(cloud: Cloud, id_: str, state: Values) -> Values:
        found = call(cloud, "describe", id_, state)[answer]
        return {
            **outputs(found),
            **managed(state, {ours: found.get(theirs) for ours, theirs in seen.items()}),
            **tags_seen(found.get("tags", {}), state),
        }

    def update(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
        call(cloud, "update", id_, new, **chosen(new, changes))
        return _retag(cloud, old[arn], old, new)

    return Resource(
        create=create,
        read=read,
        update=update,
        delete=lambda cloud, id_, state: call(cloud, "delete", id_, state),
        replaces=frozenset(fixed),
        imported=imported,
    )


_POLICY = same_names("clusterName", "principalArn", "policyArn")


def _associate(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    scope = inputs["accessScope"]
    cloud.client("eks").associate_access_policy(
        **chosen(inputs, _POLICY),
        accessScope=chosen(scope, same_names("type", "namespaces")),
    )
    id_ = f"{inputs['clusterName']}#{inputs['principalArn']}#{inputs['policyArn']}"
    return id_, {}


def _read_policy(cloud: Cloud, id_: str, state: Values) -> Values | None:
    answer = cloud.client("eks").list_associated_access_policies(
        clusterName=state["clusterName"], principalArn=state["principalArn"]
    )
    arns = {policy["policyArn"] for policy in answer["associatedAccessPolicies"]}
    return {} if state["policyArn"] in arns else None


def _disassociate(cloud: Cloud, id_: str, state: Values) -> None:
    cloud.client("eks").disassociate_access_policy(**chosen(state, _POLICY))


def _imported_entry(id_: str) -> Values:
    cluster, _, principal = id_.partition(":")
    return {"clusterName": cluster, "principalArn": principal}


RESOURCES = {
    "aws:eks/cluster:Cluster": Resource(
        create=_create_cluster,
        read=_read_cluster,
        update=_update_cluster,
        delete=lambda cloud, id_, _: cloud.client("eks").delete_cluster(name=id_),
        replaces=frozenset({"name", "roleArn", "encryptionConfig", "bootstrapSelfManagedAddons"}),
        # "This value cannot be changed": the official provider replaces the cluster.
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_ComputeConfigRequest.html
        unchangeable=frozenset({"computeConfig.nodeRoleArn"}),
        autoname="name",
    ),
    "aws:eks/addon:Addon": _part(
        "addon",
        "addon",
        id_=lambda addon: f"{addon['clusterName']}:{addon['addonName']}",
        key="addonName",
        fixed=same_names("clusterName", "addonName"),
        changes=same_names("addonVersion", "configurationValues"),
        computed={"arn": "addonArn", "addonVersion": "addonVersion"},
        seen=same_names("configurationValues"),
    ),
    "aws:eks/accessEntry:AccessEntry": _part(
        "access_entry",
        "accessEntry",
        id_=lambda entry: f"{entry['clusterName']}:{entry['principalArn']}",
        key="principalArn",
        fixed=same_names("clusterName", "principalArn", "type"),
        changes={"kubernetesGroups": "kubernetesGroups", "userName": "username"},
        computed={"accessEntryArn": "accessEntryArn", "userName": "username"},
        seen=same_names("type"),
        arn="accessEntryArn",
        imported=_imported_entry,
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Resource(
        create=_associate,
        read=_read_policy,
        delete=_disassociate,
        replaces=frozenset({*_POLICY, "accessScope"}),
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _part(
        "pod_identity_association",
        "association",
        id_=lambda association: association["associationId"],
        key="associationId",
        fixed=same_names("clusterName", "namespace", "serviceAccount"),
        changes=same_names("roleArn"),
        computed=same_names("associationArn", "associationId"),
        seen=same_names("roleArn"),
        arn="associationArn",
    ),
}
