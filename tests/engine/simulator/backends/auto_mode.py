"""EKS Auto Mode as a controller: NodeClasses and NodePools become ready, NodePools get nodes.

One node of the real cluster replaces all nodes. A NodeClaim stands for an instance: while it
exists, the real node has a label of its pool, which `pods.py` makes the pods of the pool wait for.
As in Karpenter, a NodeClaim blocks the deletion of its NodePool until its instance has ended.
https://docs.aws.amazon.com/eks/latest/userguide/automode.html
"""

import json
import sys
import threading
import time
from collections import defaultdict
from typing import Any

from botocore.exceptions import ClientError

from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.moto_patches.identity import SPOT_ROLE

PERIOD_SECONDS = 2
# Ending an instance takes a minute or two on AWS.
END_SECONDS = 4
FINALIZER = "karpenter.sh/termination"
NODE_CLASS, NODE_POOL = "nodeclasses.eks.amazonaws.com", "nodepools.karpenter.sh"
NODE_CLAIM = "nodeclaims.karpenter.sh"
NODE_POLICIES = {"AmazonEKSWorkerNodeMinimalPolicy", "AmazonEKSWorkerNodePolicy"}
LABEL = "nodes.simulated-aws.local"

Objects = dict[str, dict[str, Any]]


def node_label(pool: str) -> str:
    """Label of the real node while the pool has a node."""
    return f"{LABEL}/{pool}"


class AutoMode:
    """Reconciles until `stop`."""

    def __init__(self, cloud: Cloud, kubectl: Kubectl) -> None:
        self.cloud, self.kubectl = cloud, kubectl
        # Pools with pods: the webhook adds them.
        self.wanted: set[str] = set()
        self._ends: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, cluster: str) -> None:
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, args=[cluster], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.wanted.clear()
        self._ends.clear()

    def remove(self) -> None:
        """Remove what blocks the deletion of the CRDs, and the labels of the node."""
        self.stop()
        crds = {crd["metadata"]["name"] for crd in self.kubectl.get("crds")["items"]}
        if NODE_CLAIM in crds:
            for name in self._all(NODE_CLAIM)["NodeClaim"]:
                self._patch(NODE_CLAIM, name, {"metadata": {"finalizers": None}})
        (node, *_) = self.kubectl.get("nodes")["items"]
        labels = [key for key in node["metadata"]["labels"] if key.startswith(f"{LABEL}/")]
        if labels:
            self.kubectl.run("label", "node", node["metadata"]["name"], *(f"{k}-" for k in labels))

    def _run(self, cluster: str) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            try:
                self.reconcile(cluster)
            except (ClientError, RuntimeError) as error:
                # The API server is busy, or the account is down: AWS would try again, too.
                print(f"Auto Mode: {error}", file=sys.stderr)

    # --- one pass

    def reconcile(self, cluster: str) -> None:
        found = self.cloud.client("eks").describe_cluster(name=cluster)["cluster"]
        # One request: each starts a process.
        objects = self._all(NODE_CLASS, NODE_POOL, NODE_CLAIM)
        classes, pools, claims = (objects[k] for k in ("NodeClass", "NodePool", "NodeClaim"))
        self._built_in(found.get("computeConfig", {}).get("nodePools") or [], pools)
        reasons = {name: self._flaw(found, each["spec"]) for name, each in classes.items()}
        for name, each in classes.items():
            self._report(NODE_CLASS, each, reasons[name])
        for name, pool in pools.items():
            class_name = pool["spec"]["template"]["spec"]["nodeClassRef"]["name"]
            missing = f"NodeClassNotReady: NodeClass {class_name} does not exist"
            reason = reasons.get(class_name, missing)
            self._report(NODE_POOL, pool, reason and f"NodeClassNotReady: {reason}")
            ends = "deletionTimestamp" in pool["metadata"]
            if reason is None and name in self.wanted and name not in claims and not ends:
                self._launch(found, pool, classes[class_name]["spec"])
        for name, claim in claims.items():
            if "deletionTimestamp" in claim["metadata"]:
                self._end(name)

    def _built_in(self, names: list[str], pools: Objects) -> None:
        """https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html"""
        if any(name not in pools for name in names):
            self.kubectl.apply(_default_class(), *map(_built_in_pool, names))
        for name in {"general-purpose", "system"} & pools.keys() - set(names):
            self.kubectl.run("delete", NODE_POOL, name, "--wait=false", "--ignore-not-found")

    def _flaw(self, cluster: dict[str, Any], spec: dict[str, Any]) -> str | None:
        """Why a NodeClass is not ready."""
        iam = self.cloud.client("iam")
        if spec["role"] == DEFAULT_ROLE:
            return None
        try:
            iam.get_role(RoleName=spec["role"])
        except ClientError:
            return f"InstanceProfileNotReady: role {spec['role']} does not exist"
        attached = iam.list_attached_role_policies(RoleName=spec["role"])["AttachedPolicies"]
        if not NODE_POLICIES & {policy["PolicyName"] for policy in attached}:
            return f"InstanceProfileNotReady: role {spec['role']} lacks AmazonEKSWorkerNodeMinimalPolicy"
        if not self._subnets(spec):
            return "SubnetsNotFound: SubnetSelector did not match any Subnets"
        groups = _ids(spec["securityGroupSelectorTerms"])
        ec2 = self.cloud.client("ec2")
        known = {group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]}
        if not set(groups) & known:
            return "SecurityGroupsNotFound: SecurityGroupSelector did not match any SecurityGroups"
        if spec.get("tags") and not self._may_tag(cluster["roleArn"]):
            return (
                "UnauthorizedOperation: the cluster role is not authorized to perform: "
                "ec2:CreateLaunchTemplate with user defined tags"
            )
        return None

    def _may_tag(self, cluster_role: str) -> bool:
        """https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html#tag-prop"""
        iam, role = self.cloud.client("iam"), cluster_role.rpartition("/")[2]
        documents = [
            iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        ]
        actions = [
            action
            for document in documents
            for statement in document["Statement"]
            if statement["Effect"] == "Allow"
            for action in statement["Action"]
        ]
        return {"ec2:CreateLaunchTemplate", "ec2:CreateVolume"} <= set(actions)

    def _subnets(self, spec: dict[str, Any]) -> list[str]:
        wanted = _ids(spec["subnetSelectorTerms"])
        subnets = self.cloud.client("ec2").describe_subnets()["Subnets"]
        return [subnet["SubnetId"] for subnet in subnets if subnet["SubnetId"] in wanted]

    def _launch(self, cluster: dict[str, Any], pool: dict[str, Any], spec: dict[str, Any]) -> None:
        """Create the NodeClaim; pods start only if the node joins the cluster."""
        name = pool["metadata"]["name"]
        reason = self._no_launch(pool) or self._no_join(cluster["name"], spec)
        self.kubectl.apply(_claim(pool))
        self._report(NODE_CLAIM, _claim(pool), reason)
        if reason is None:
            (node, *_) = self.kubectl.get("nodes")["items"]
            label = f"{node_label(name)}=true"
            self.kubectl.run("label", "node", node["metadata"]["name"], label, "--overwrite")

    def _no_launch(self, pool: dict[str, Any]) -> str | None:
        """https://karpenter.sh/docs/troubleshooting/#missing-service-linked-role"""
        wanted = pool["spec"]["template"]["spec"]["requirements"]
        spot = any("spot" in each.get("values", []) for each in wanted)
        roles = self.cloud.client("iam").list_roles()["Roles"]
        if spot and SPOT_ROLE not in {role["RoleName"] for role in roles}:
            return "LaunchFailed: AuthFailure.ServiceLinkedRoleCreationNotPermitted"
        return None

    def _no_join(self, cluster: str, spec: dict[str, Any]) -> str | None:
        """Why an instance of a NodeClass does not become a node."""
        if spec["role"] == DEFAULT_ROLE:
            return None
        arn = self.cloud.client("iam").get_role(RoleName=spec["role"])["Role"]["Arn"]
        eks = self.cloud.client("eks")
        try:
            entry = eks.describe_access_entry(clusterName=cluster, principalArn=arn)["accessEntry"]
            policies = eks.list_associated_access_policies(clusterName=cluster, principalArn=arn)
        except ClientError:
            return f"NodeNotRegistered: {arn} has no access entry"
        names = [p["policyArn"].rpartition("/")[2] for p in policies["associatedAccessPolicies"]]
        if entry["type"] != "EC2" or "AmazonEKSAutoNodePolicy" not in names:
            return (
                f"NodeNotRegistered: {arn} has no access entry of type EC2 with "
                "AmazonEKSAutoNodePolicy"
            )
        for subnet in self._subnets(spec):
            if not self._reaches_the_internet(subnet):
                return f"NodeNotRegistered: {subnet} has no route to the Internet for its nodes"
        return None

    def _reaches_the_internet(self, subnet: str) -> bool:
        """By NAT, or with public addresses by an Internet gateway.

        https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
        """
        ec2 = self.cloud.client("ec2")
        (found,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        by_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
        main = [
            {"Name": "vpc-id", "Values": [found["VpcId"]]},
            {"Name": "association.main", "Values": ["true"]},
        ]
        tables = (
            ec2.describe_route_tables(Filters=by_subnet)["RouteTables"]
            or ec2.describe_route_tables(Filters=main)["RouteTables"]
        )
        routes = [
            route
            for table in tables
            for route in table["Routes"]
            if route.get("DestinationCidrBlock") == "0.0.0.0/0"
        ]
        gateways = [str(route.get("GatewayId")) for route in routes]
        if any(gateway.startswith("igw-") for gateway in gateways):
            return found["MapPublicIpOnLaunch"]
        return bool(routes)

    def _end(self, name: str) -> None:
        """End the instance of a deleted NodeClaim."""
        if time.monotonic() < self._ends.setdefault(name, time.monotonic() + END_SECONDS):
            return
        (node, *_) = self.kubectl.get("nodes")["items"]
        self.kubectl.run("label", "node", node["metadata"]["name"], f"{node_label(name)}-")
        self._patch(NODE_CLAIM, name, {"metadata": {"finalizers": None}})
        del self._ends[name]
        self.wanted.discard(name)

    # --- objects

    def _all(self, *kinds: str) -> dict[str, Objects]:
        """Objects by kind and name."""
        found: dict[str, Objects] = defaultdict(dict)
        for each in self.kubectl.get(",".join(kinds))["items"]:
            found[each["kind"]][each["metadata"]["name"]] = each
        return found

    def _report(self, kind: str, found: dict[str, Any], reason: str | None) -> None:
        """Set the condition Ready: false with a reason, or true."""
        code, _, message = (reason or "Ready: ").partition(": ")
        condition = {
            "type": "Ready",
            "status": "False" if reason else "True",
            "reason": code,
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        if found.get("status", {}).get("conditions") != [condition]:
            status = {"status": {"conditions": [condition]}}
            self._patch(kind, found["metadata"]["name"], status, "--subresource=status")

    def _patch(self, kind: str, name: str, patch: dict[str, Any], *words: str) -> None:
        how = ["--type=merge", "--patch", json.dumps(patch), *words]
        self.kubectl.run("patch", kind, name, *how)


# The built-in NodeClass: EKS knows its role, subnets and group.
DEFAULT_ROLE = "simulated-built-in"


def _ids(terms: list[dict[str, Any]]) -> list[str]:
    return [term["id"] for term in terms]


def _default_class() -> dict[str, Any]:
    return {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": "default"},
        "spec": {
            "role": DEFAULT_ROLE,
            "subnetSelectorTerms": [{"id": "subnet-0123456789abcdef0"}],
            "securityGroupSelectorTerms": [{"id": "sg-0123456789abcdef0"}],
        },
    }


def _built_in_pool(name: str) -> dict[str, Any]:
    taint = {"key": "CriticalAddonsOnly", "effect": "NoSchedule"}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "disruption": {"consolidateAfter": "30s"},
            "template": {
                "spec": {
                    "nodeClassRef": {
                        "group": "eks.amazonaws.com",
                        "kind": "NodeClass",
                        "name": "default",
                    },
                    "requirements": [
                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
                    ],
                    "taints": [taint] if name == "system" else [],
                }
            },
        },
    }


def _claim(pool: dict[str, Any]) -> dict[str, Any]:
    name = pool["metadata"]["name"]
    owner = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "name": name,
        "uid": pool["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "labels": {"karpenter.sh/nodepool": name},
            "finalizers": [FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": {
            key: pool["spec"]["template"]["spec"][key] for key in ("nodeClassRef", "requirements")
        },
    }
