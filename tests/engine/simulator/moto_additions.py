"""APIs of EKS that moto lacks: add-ons, access entries, Pod Identity associations.

Routes added to moto's server.
https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html
"""

import datetime
import json
import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import moto.eks.urls
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import InvalidRequestException
from moto.eks.models import Cluster, EKSBackend, eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.models import iam_backends

ACCOUNT = "123456789012"  # the account of moto
Answer = tuple[int, dict[str, str], str]
Values = dict[str, Any]

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


class Api:
    """A request on a cluster, with its body and query."""

    def __init__(self, backend: EKSBackend, cluster: Cluster, given: Values, query: Values) -> None:
        self.backend, self.cluster, self.given, self.query = backend, cluster, given, query
        self.stored: dict[str, dict[str, Values]] = cluster.__dict__.setdefault("stored", {})

    def of(self, kind: str) -> dict[str, Values]:
        return self.stored.setdefault(kind, {})

    def one(self, kind: str, key: str) -> Values:
        if key not in self.of(kind):
            raise not_found(kind, clusterName=self.cluster.name, name=key)
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
            cluster.resources_vpc_config |= self.given["resourcesVpcConfig"]
        return {"update": _update("ConfigUpdate")}

    def update_version(self) -> Values:
        old, new = self.cluster.version, self.given["version"]
        if int(new.split(".")[1]) != int(old.split(".")[1]) + 1:
            message = f"Unsupported Kubernetes minor version update from {old} to {new}"
            raise ApiError("InvalidParameterException", message)
        self.cluster.version = new
        return {"update": _update("VersionUpdate")}

    def describe_update(self, id_: str) -> Values:
        """Updates are complete when they are requested."""
        return {"update": {**_update("ConfigUpdate"), "id": id_}}

    # --- add-ons

    def list_addons(self) -> Values:
        return {"addons": sorted(self.of("addon"))}

    def create_addon(self) -> Values:
        name = self.given["addonName"]
        if name not in ADDONS:
            raise ApiError("InvalidParameterException", f"Addon specified is not supported: {name}")
        if name in self.of("addon"):
            raise ApiError("ResourceInUseException", "Addon already exists.", 409)
        addon = {
            "addonName": name,
            "clusterName": self.cluster.name,
            "status": "ACTIVE",
            "addonVersion": self.given.get("addonVersion") or "v1.0.0-eksbuild.1",
            "health": {"issues": []},
            "addonArn": self.arn("addon", f"{name}/{uuid.uuid4()}"),
            "configurationValues": self.given.get("configurationValues"),
            "tags": self.given.get("tags") or {},
            **_times(),
        }
        self.of("addon")[name] = addon
        return {"addon": addon}

    def describe_addon(self, name: str) -> Values:
        return {"addon": self.one("addon", name)}

    def delete_addon(self, name: str) -> Values:
        addon = self.one("addon", name)
        del self.of("addon")[name]
        return {"addon": {**addon, "status": "DELETING"}}

    def update_addon(self, name: str) -> Values:
        addon = self.one("addon", name)
        for key in ("addonVersion", "configurationValues"):
            if self.given.get(key):
                addon[key] = self.given[key]
        return {"update": _update("AddonUpdate")}

    # --- access entries

    def list_access_entries(self) -> Values:
        return {"accessEntries": sorted(self.of("accessEntry"))}

    def create_access_entry(self) -> Values:
        principal = self.given["principalArn"]
        if principal in self.of("accessEntry"):
            message = "The specified access entry resource is already in use on this cluster."
            raise ApiError("ResourceInUseException", message, 409)
        entry = {
            "clusterName": self.cluster.name,
            "principalArn": principal,
            "kubernetesGroups": self.given.get("kubernetesGroups") or [],
            "accessEntryArn": self.arn("access-entry", str(uuid.uuid4())),
            "tags": self.given.get("tags") or {},
            "username": self.given.get("username") or principal,
            "type": self.given.get("type") or "STANDARD",
            "policies": {},
            **_times(),
        }
        self.of("accessEntry")[principal] = entry
        return {"accessEntry": _public(entry)}

    def describe_access_entry(self, principal: str) -> Values:
        return {"accessEntry": _public(self.one("accessEntry", principal))}

    def delete_access_entry(self, principal: str) -> Values:
        self.one("accessEntry", principal)
        del self.of("accessEntry")[principal]
        return {}

    def update_access_entry(self, principal: str) -> Values:
        entry = self.one("accessEntry", principal)
        for key in ("kubernetesGroups", "username"):
            if key in self.given:
                entry[key] = self.given[key]
        return {"accessEntry": _public(entry)}

    def list_associated_access_policies(self, principal: str) -> Values:
        policies = self.one("accessEntry", principal)["policies"]
        return {
            "associatedAccessPolicies": list(policies.values()),
            "clusterName": self.cluster.name,
            "principalArn": principal,
        }

    def associate_access_policy(self, principal: str) -> Values:
        entry = self.one("accessEntry", principal)
        policy = self.given["policyArn"]
        if policy not in ACCESS_POLICIES:
            raise ApiError(
                "InvalidParameterException", f"The policyArn parameter is invalid: {policy}"
            )
        found = {"policyArn": policy, "accessScope": self.given["accessScope"]}
        entry["policies"][policy] = {**found, "associatedAt": _now()}
        return {"associatedAccessPolicy": entry["policies"][policy]}

    def disassociate_access_policy(self, principal: str, policy: str) -> Values:
        policies = self.one("accessEntry", principal)["policies"]
        if policy not in policies:
            raise not_found("policy association", policyArn=policy)
        del policies[policy]
        return {}

    # --- Pod Identity

    def list_pod_identity_associations(self) -> Values:
        wanted = {k: v for k, v in self.query.items() if k in ("namespace", "serviceAccount")}
        found = [a for a in self.of("association").values() if wanted.items() <= a.items()]
        return {"associations": [{k: v for k, v in a.items() if k != "roleArn"} for a in found]}

    def create_pod_identity_association(self) -> Values:
        key = (self.given["namespace"], self.given["serviceAccount"])
        taken = {(a["namespace"], a["serviceAccount"]) for a in self.of("association").values()}
        if key in taken:
            message = f"Association already exists: {'/'.join(key)}"
            raise ApiError("ResourceInUseException", message, 409)
        self._check_role()
        id_ = f"a-{uuid.uuid4().hex[:17]}"
        association = {
            "clusterName": self.cluster.name,
            "namespace": key[0],
            "serviceAccount": key[1],
            "roleArn": self.given["roleArn"],
            "associationArn": self.arn("podidentityassociation", id_),
            "associationId": id_,
            "tags": self.given.get("tags") or {},
            **_times(),
        }
        self.of("association")[id_] = association
        return {"association": association}

    def describe_pod_identity_association(self, id_: str) -> Values:
        return {"association": self.one("association", id_)}

    def update_pod_identity_association(self, id_: str) -> Values:
        association = self.one("association", id_)
        if "roleArn" in self.given:
            self._check_role()
            association["roleArn"] = self.given["roleArn"]
        return {"association": association}

    def delete_pod_identity_association(self, id_: str) -> Values:
        association = self.one("association", id_)
        del self.of("association")[id_]
        return {"association": association}

    def _check_role(self) -> None:
        arn = self.given["roleArn"]
        iam = iam_backends[self.backend.account_id]["aws"]
        if arn not in {role.arn for role in iam.roles.values()}:
            raise ApiError(
                "InvalidParameterException", f"Role provided in the request does not exist: {arn}"
            )


def _routes() -> dict[str, dict[str, Callable[..., Values]]]:
    one = "/([^/]+)"
    entry = "/access-entries" + one
    return {
        "/update-config": {"POST": Api.update_config},
        "/updates": {"POST": Api.update_version},
        "/updates" + one: {"GET": Api.describe_update},
        "/addons": {"GET": Api.list_addons, "POST": Api.create_addon},
        "/addons" + one: {"GET": Api.describe_addon, "DELETE": Api.delete_addon},
        "/addons" + one + "/update": {"POST": Api.update_addon},
        "/access-entries": {"GET": Api.list_access_entries, "POST": Api.create_access_entry},
        entry: {
            "GET": Api.describe_access_entry,
            "DELETE": Api.delete_access_entry,
            "POST": Api.update_access_entry,
        },
        entry + "/access-policies": {
            "GET": Api.list_associated_access_policies,
            "POST": Api.associate_access_policy,
        },
        entry + "/access-policies" + one: {"DELETE": Api.disassociate_access_policy},
        "/pod-identity-associations": {
            "GET": Api.list_pod_identity_associations,
            "POST": Api.create_pod_identity_association,
        },
        "/pod-identity-associations" + one: {
            "GET": Api.describe_pod_identity_association,
            "DELETE": Api.delete_pod_identity_association,
            "POST": Api.update_pod_identity_association,
        },
    }


ROUTES = _routes()


def install(patches: ExitStack) -> None:
    """Add the routes to moto's EKS."""
    base = "{0}/clusters/(?P<name>[^/]+)/"
    paths = {base + "update-config$": answer}
    for kind in ("addons", "access-entries", "pod-identity-associations", "updates"):
        paths |= {base + f"{kind}$": answer, base + f"{kind}/(?P<rest>.+)$": answer}
    patches.enter_context(patch.dict(moto.eks.urls.url_paths, paths))
    patches.enter_context(patch.object(EKSResponse, "create_cluster", _create_cluster))
    patches.enter_context(patch.object(EKSResponse, "delete_cluster", _delete_cluster))


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
        "securityGroupIds": [],
        **config,
        "clusterSecurityGroupId": group.id,
        "vpcId": vpc,
    }
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
        ec2 = ec2_backends[response.current_account][response.region]
        group = cluster.resources_vpc_config["clusterSecurityGroupId"]
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


def _public(entry: Values) -> Values:
    return {key: value for key, value in entry.items() if key != "policies"}


def _update(kind: str) -> Values:
    return {"id": str(uuid.uuid4()), "status": "Successful", "type": kind, "createdAt": _now()}
