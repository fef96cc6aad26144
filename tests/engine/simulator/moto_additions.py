"""APIs of EKS that moto lacks: add-ons, access entries, Pod Identity associations.

Routes added to moto's server.
https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html
"""

import datetime
import json
import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import moto.eks.urls
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import InvalidRequestException
from moto.eks.models import Cluster, EKSBackend, eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.models import iam_backends

from tests.engine.simulator import identity, log_groups
from tests.engine.simulator.identity import ACCOUNT

Answer = tuple[int, dict[str, str], str]
Values = dict[str, Any]
Routes = dict[str, dict[str, Callable[..., Values]]]

# https://docs.aws.amazon.com/eks/latest/userguide/eks-add-ons.html
ADDONS = {
    "amazon-cloudwatch-observability",
    "aws-ebs-csi-driver",
    "aws-efs-csi-driver",
    "coredns",
    "eks-pod-identity-agent",
    "external-dns",
    "kube-proxy",
    "kube-state-metrics",
    "metrics-server",
    "vpc-cni",
}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
ACCESS_POLICIES = {
    f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{name}Policy"
    for name in ("Admin", "ClusterAdmin", "AdminView", "Edit", "View", "AutoNode")
}


class ApiError(Exception):
    """An error response; `code` is the name of AWS's exception."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def not_found(what: str, **names: str) -> ApiError:
    named = ", ".join(f"{key}={value}" for key, value in names.items())
    return ApiError("ResourceNotFoundException", f"No {what} found for {named}", 404)


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def entry_of_the_nodes(cluster: Cluster) -> None:
    """EKS adds the node role of its built-in node pools.

    https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html
    """
    compute = cluster.compute_config or {}
    role = compute.get("nodeRoleArn")
    entries = entries_of(cluster)
    if compute.get("enabled") and compute.get("nodePools") and role and role not in entries:
        entries[role] = _entry(cluster, role, type="EC2", policy="AutoNode")


def entry_of_the_creator(cluster: Cluster, creator: str) -> None:
    """EKS adds the creator unless bootstrapClusterCreatorAdminPermissions is false.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessConfigRequest.html
    """
    access = cluster.access_config
    bootstrap = access.get("bootstrapClusterCreatorAdminPermissions", True)
    if access["authenticationMode"] != "CONFIG_MAP" and bootstrap:
        entry = _entry(cluster, creator, type="STANDARD", policy="ClusterAdmin")
        entries_of(cluster)[creator] = entry


def entries_of(cluster: Cluster) -> dict[str, Values]:
    stored: dict[str, dict[str, Values]] = cluster.__dict__.setdefault("stored", {})
    return stored.setdefault(ENTRY.name, {})


def _entry(cluster: Cluster, principal: str, *, type: str, policy: str) -> Values:
    """An access entry that EKS makes by itself."""
    arn = f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{policy}Policy"
    return {
        "clusterName": cluster.name,
        "principalArn": principal,
        "accessEntryArn": f"{cluster.arn.replace(':cluster/', ':access-entry/')}/{uuid.uuid4()}",
        "kubernetesGroups": [],
        "username": principal,
        "type": type,
        "tags": {},
        "policies": {arn: {"policyArn": arn, "accessScope": {"type": "cluster"}}},
        **_times(),
    }


class Kind(NamedTuple):
    """A kind of objects of a cluster."""

    name: str  # in answers
    key: str  # the field that selects an object
    path: str
    listed: str  # in the answer of a list
    changes: tuple[str, ...]  # the fields that an update changes


ADDON = Kind("addon", "addonName", "addons", "addons", ("addonVersion", "configurationValues"))
ENTRY = Kind(
    "accessEntry",
    "principalArn",
    "access-entries",
    "accessEntries",
    ("kubernetesGroups", "username"),
)
ASSOCIATION = Kind(
    "association", "associationId", "pod-identity-associations", "associations", ("roleArn",)
)


class Api:
    """A request on a cluster, with its body and query."""

    def __init__(self, backend: EKSBackend, cluster: Cluster, given: Values, query: Values) -> None:
        self.backend, self.cluster, self.given, self.query = backend, cluster, given, query
        self.stored: dict[str, dict[str, Values]] = cluster.__dict__.setdefault("stored", {})

    def of(self, kind: Kind) -> dict[str, Values]:
        return self.stored.setdefault(kind.name, {})

    def one(self, kind: Kind, key: str) -> Values:
        if key not in self.of(kind):
            raise not_found(kind.name, clusterName=self.cluster.name, name=key)
        return self.of(kind)[key]

    def arn(self, kind: str, rest: str) -> str:
        where = f"{self.backend.region_name}:{self.backend.account_id}"
        return f"arn:{self.backend.partition}:eks:{where}:{kind}/{self.cluster.name}/{rest}"

    # --- the cluster itself

    def update_config(self) -> Values:
        """Updates each part of the configuration that the request has."""
        cluster = self.cluster
        for field, (attribute, _) in FIELDS.items():
            if field in self.given:
                setattr(cluster, attribute, self.given[field])
        if "logging" in self.given:
            cluster.logging = self.given["logging"]
        if "resourcesVpcConfig" in self.given:
            self._update_endpoint(self.given["resourcesVpcConfig"])
        entry_of_the_nodes(cluster)
        log_groups.written_by_cluster(cluster, self.backend)
        return _update("ConfigUpdate")

    def _update_endpoint(self, given: Values) -> None:
        """Refuses an update without a change: https://github.com/aws/aws-cdk/issues/14698."""
        config = self.cluster.resources_vpc_config
        after = config | given
        if after == config:
            private, public = config["endpointPrivateAccess"], config["endpointPublicAccess"]
            raise invalid(
                "Cluster is already at the desired configuration with endpointPrivateAccess: "
                f"{str(private).lower()} , endpointPublicAccess: {str(public).lower()}, and Public "
                f"Endpoint Restrictions: [{' '.join(config['publicAccessCidrs'])}]"
            )
        if not after["endpointPublicAccess"] and not after["endpointPrivateAccess"]:
            raise invalid("Private and public endpoint access cannot be false")
        self.cluster.resources_vpc_config = after

    def update_version(self) -> Values:
        old, new = self.cluster.version, self.given["version"]
        if int(new.split(".")[1]) != int(old.split(".")[1]) + 1:
            message = f"Unsupported Kubernetes minor version update from {old} to {new}"
            raise invalid(message)
        self.cluster.version = new
        return _update("VersionUpdate")

    def describe_update(self, id_: str) -> Values:
        """Updates are complete when they are requested."""
        return _update("ConfigUpdate", id_)

    # --- add-ons, access entries and Pod Identity associations

    def list(self, kind: Kind) -> Values:
        return {kind.listed: sorted(self.of(kind))}

    def describe(self, kind: Kind, key: str) -> Values:
        return {kind.name: self.one(kind, key)}

    def update(self, kind: Kind, key: str) -> Values:
        changed = {name: self.given[name] for name in kind.changes if name in self.given}
        self.one(kind, key).update(changed)
        return self.describe(kind, key)

    def delete(self, kind: Kind, key: str) -> Values:
        self.one(kind, key)
        return {kind.name: self.of(kind).pop(key)}

    def _create(self, kind: Kind, unique: tuple[str, ...], taken: str, **fields: Any) -> Values:
        """Store an object. `taken` is the error if another has the same `unique` fields."""
        tags = self.given.get("tags") or {}
        created = {"clusterName": self.cluster.name, "tags": tags, **fields, **_times()}
        if any(all(other[f] == created[f] for f in unique) for other in self.of(kind).values()):
            raise ApiError("ResourceInUseException", taken.format(**created), 409)
        self.of(kind)[created[kind.key]] = created
        return {kind.name: created}

    def create_addon(self) -> Values:
        name = self.given["addonName"]
        if name not in ADDONS:
            raise invalid(f"Addon specified is not supported: {name}")
        return self._create(
            ADDON,
            ("addonName",),
            "Addon already exists.",
            addonName=name,
            status="ACTIVE",
            addonVersion=self.given.get("addonVersion") or "v1.0.0-eksbuild.1",
            health={"issues": []},
            addonArn=self.arn("addon", f"{name}/{uuid.uuid4()}"),
            configurationValues=self.given.get("configurationValues"),
        )

    def update_addon(self, name: str) -> Values:
        self.update(ADDON, name)
        return _update("AddonUpdate")

    def create_access_entry(self) -> Values:
        principal = self.given["principalArn"]
        return self._create(
            ENTRY,
            ("principalArn",),
            "The specified access entry resource is already in use on this cluster.",
            principalArn=principal,
            kubernetesGroups=self.given.get("kubernetesGroups") or [],
            accessEntryArn=self.arn("access-entry", str(uuid.uuid4())),
            username=self.given.get("username") or principal,
            type=self.given.get("type") or "STANDARD",
            policies={},
        )

    def list_associated_access_policies(self, principal: str) -> Values:
        policies = self.one(ENTRY, principal)["policies"]
        return {
            "associatedAccessPolicies": list(policies.values()),
            "clusterName": self.cluster.name,
            "principalArn": principal,
        }

    def associate_access_policy(self, principal: str) -> Values:
        policies = self.one(ENTRY, principal)["policies"]
        policy = self.given["policyArn"]
        if policy not in ACCESS_POLICIES:
            raise invalid(f"The policyArn parameter is invalid: {policy}")
        found = {"policyArn": policy, "accessScope": self.given["accessScope"]}
        policies[policy] = {**found, "associatedAt": _now()}
        return {"associatedAccessPolicy": policies[policy]}

    def disassociate_access_policy(self, principal: str, policy: str) -> Values:
        policies = self.one(ENTRY, principal)["policies"]
        if policy not in policies:
            raise not_found("policy association", policyArn=policy)
        del policies[policy]
        return {}

    def list_pod_identity_associations(self) -> Values:
        wanted = {k: v for k, v in self.query.items() if k in ("namespace", "serviceAccount")}
        found = [a for a in self.of(ASSOCIATION).values() if wanted.items() <= a.items()]
        return {"associations": found}

    def create_pod_identity_association(self) -> Values:
        self._check_role()
        id_ = f"a-{uuid.uuid4().hex[:17]}"
        return self._create(
            ASSOCIATION,
            ("namespace", "serviceAccount"),
            "Association already exists: {namespace}/{serviceAccount}",
            **{key: self.given[key] for key in ("namespace", "serviceAccount", "roleArn")},
            associationArn=self.arn("podidentityassociation", id_),
            associationId=id_,
        )

    def update_pod_identity_association(self, id_: str) -> Values:
        if "roleArn" in self.given:
            self._check_role()
        return self.update(ASSOCIATION, id_)

    def _check_role(self) -> None:
        arn = self.given["roleArn"]
        iam = iam_backends[self.backend.account_id]["aws"]
        if arn not in {role.arn for role in iam.roles.values()}:
            raise invalid(f"Role provided in the request does not exist: {arn}")


def _routes(kind: Kind, create: Any, *, list_: Any = None, update: Any = None) -> Routes:
    return {
        f"/{kind.path}": {"GET": list_ or (lambda api: api.list(kind)), "POST": create},
        f"/{kind.path}/([^/]+)": {
            "GET": lambda api, key: api.describe(kind, key),
            "DELETE": lambda api, key: api.delete(kind, key),
            "POST": update or (lambda api, key: api.update(kind, key)),
        },
    }


ROUTES: Routes = {
    "/update-config": {"POST": lambda api: api.update_config()},
    "/updates": {"POST": Api.update_version},
    "/updates/([^/]+)": {"GET": Api.describe_update},
    **_routes(ADDON, Api.create_addon),
    "/addons/([^/]+)/update": {"POST": Api.update_addon},
    **_routes(ENTRY, Api.create_access_entry),
    "/access-entries/([^/]+)/access-policies": {
        "GET": Api.list_associated_access_policies,
        "POST": Api.associate_access_policy,
    },
    "/access-entries/([^/]+)/access-policies/([^/]+)": {"DELETE": Api.disassociate_access_policy},
    **_routes(
        ASSOCIATION,
        Api.create_pod_identity_association,
        list_=Api.list_pod_identity_associations,
        update=Api.update_pod_identity_association,
    ),
}


def install(patches: ExitStack) -> None:
    """Add the routes to moto's EKS."""
    base = "{0}/clusters/(?P<name>[^/]+)/"
    paths = {base + "update-config$": answer}
    for kind in ("addons", "access-entries", "pod-identity-associations", "updates"):
        paths |= {base + f"{kind}$": answer, base + f"{kind}/(?P<rest>.+)$": answer}
    patches.enter_context(patch.dict(moto.eks.urls.url_paths, paths))
    patches.enter_context(patch.object(EKSResponse, "create_cluster", _create_cluster))
    patches.enter_context(patch.object(EKSResponse, "delete_cluster", _delete_cluster))
    _tag_stored(patches)


def _tag_stored(patches: ExitStack) -> None:
    """Change the tags of add-ons, access entries and associations, which moto does not know."""
    tag, untag = EKSBackend.tag_resource, EKSBackend.untag_resource

    def tags_of(backend: EKSBackend, arn: str) -> dict[str, str] | None:
        for cluster in backend.clusters.values():
            for objects in cluster.__dict__.get("stored", {}).values():
                for found in objects.values():
                    if arn in found.values():
                        return found["tags"]
        return None

    def tagged(backend: EKSBackend, resource_arn: str, tags: dict[str, str]) -> None:
        found = tags_of(backend, resource_arn)
        if found is None:
            tag(backend, resource_arn, tags)
        else:
            found.update(tags)

    # Moto passes a single key as text.
    def untagged(backend: EKSBackend, resource_arn: str, tag_keys: list[str] | str) -> None:
        found = tags_of(backend, resource_arn)
        if found is None:
            untag(backend, resource_arn, tag_keys)
        else:
            for key in [tag_keys] if isinstance(tag_keys, str) else tag_keys:
                found.pop(key, None)

    patches.enter_context(patch.object(EKSBackend, "tag_resource", tagged))
    patches.enter_context(patch.object(EKSBackend, "untag_resource", untagged))


# Fields of a cluster that moto does not store, with AWS's defaults.
FIELDS: dict[str, tuple[str, Any]] = {
    "accessConfig": ("access_config", {"authenticationMode": "CONFIG_MAP"}),
    "computeConfig": ("compute_config", {"enabled": False}),
    "storageConfig": ("storage_config", {"blockStorage": {"enabled": False}}),
    "upgradePolicy": ("upgrade_policy", {"supportType": "EXTENDED"}),
    "deletionProtection": ("deletion_protection", False),
}
_CREATE, _DELETE = EKSResponse.create_cluster, EKSResponse.delete_cluster


def _create_cluster(response: EKSResponse) -> Any:
    """Create the cluster in moto, with more fields and the security group of EKS."""
    answer = _CREATE(response)
    cluster = response.eks_backend.clusters[response._get_param("name")]
    for field, (attribute, default) in FIELDS.items():
        given = response._get_param(field)
        setattr(cluster, attribute, default if given is None else given)
    config = cluster.resources_vpc_config
    ec2 = ec2_backends[response.current_account][response.region]
    vpc = ec2.get_subnet(config["subnetIds"][0]).vpc_id
    group = ec2.create_security_group(
        name=f"eks-cluster-sg-{cluster.name}-{uuid.uuid4().int % 10**9}",
        description="EKS created security group applied to ENI that is attached to EKS Control Plane",
        vpc_id=vpc,
        tags={"aws:eks:cluster-name": cluster.name},
    )
    cluster.resources_vpc_config = {
        "endpointPublicAccess": True,
        "endpointPrivateAccess": False,
        "publicAccessCidrs": ["0.0.0.0/0"],
        "securityGroupIds": [],
        **config,
        "clusterSecurityGroupId": group.id,
        "vpcId": vpc,
    }
    entry_of_the_creator(cluster, identity.caller())
    entry_of_the_nodes(cluster)
    log_groups.written_by_cluster(cluster, response.eks_backend)
    return answer


def _delete_cluster(response: EKSResponse) -> Any:
    name = response._get_param("name")
    cluster = response.eks_backend.clusters.get(name)
    if cluster is not None and getattr(cluster, "deletion_protection", False):
        raise InvalidRequestException(
            message=f"Cluster {name} has deletion protection enabled; disable it first"
        )
    answer = _DELETE(response)
    if cluster is not None:
        log_groups.written_by_cluster(cluster, response.eks_backend)
    # EKS leaves the group behind if it ends nodes of Auto Mode together with the cluster:
    # https://github.com/aws/aws-k8s-tester/pull/541
    if cluster is not None and not getattr(cluster, "ended_nodes", False):
        ec2 = ec2_backends[response.current_account][response.region]
        group = cluster.resources_vpc_config["clusterSecurityGroupId"]
        # A group that another group's rule names stays, too:
        # https://docs.aws.amazon.com/eks/latest/userguide/auto-disable.html
        with suppress(EC2ClientError):
            ec2.delete_security_group(group_id=group)
    return answer


def answer(request: Any, full_url: str, headers: Any) -> Answer:
    """Handle a request as EKS does."""
    # Paths contain ARNs with quoted slashes.
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or full_url
    path = urlsplit(raw).path
    try:
        found = re.fullmatch(r"/clusters/([^/]+)(/.+)", path)
        if found is None:
            raise ApiError("InvalidRequestException", f"no such path: {path}")
        api = _api(request, unquote(found[1]))
        for pattern, methods in ROUTES.items():
            parts = re.fullmatch(pattern, found[2])
            if parts and request.method in methods:
                body = methods[request.method](api, *map(unquote, parts.groups()))
                return 200, {"Content-Type": "application/json"}, json.dumps(body, default=str)
        raise ApiError("InvalidRequestException", f"no such operation: {request.method} {path}")
    except ApiError as error:
        kind = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
        return error.status, kind, json.dumps({"message": error.message})


def _api(request: Any, name: str) -> Api:
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", request.headers.get("Authorization", ""))
    region = scope[1] if scope else "us-east-1"
    backend = eks_backends[ACCOUNT][region]
    if name not in backend.clusters:
        raise not_found("cluster", name=name)
    given = json.loads(request.get_data() or b"{}") or {}
    return Api(backend, backend.clusters[name], given, request.args.to_dict())


def _now() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()


def _times() -> Values:
    return {"createdAt": _now(), "modifiedAt": _now()}


def _update(kind: str, id_: str = "") -> Values:
    id_ = id_ or str(uuid.uuid4())
    return {"update": {"id": id_, "status": "Successful", "type": kind, "createdAt": _now()}}
