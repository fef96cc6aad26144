"""Deletes a stack on AWS in stages, so that nothing outlives what could have deleted it.

EKS Auto Mode ends its nodes with the cluster, but then leaves the cluster's security group behind,
and the VPC cannot be deleted: https://github.com/aws/aws-k8s-tester/pull/541. Volumes and load
balancers are deleted by controllers of the cluster, which must outlive them. Each stage is
repeatable: an interrupted `make down` continues with the stage that is not complete.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ops import rds, remaining, shared_cluster
from ops.kubernetes import Kubernetes
from ops.recovery import leftovers
from ops.recovery.aws import Aws
from ops.recovery.leftovers import Leftover, Names
from ops.recovery.recover import recover
from ops.session import Session
from ops.shell import OperationError, output
from ops.stack import STATE, Deletion, Stack
from settings.cluster import EksSettings, cluster_name
from settings.database import RdsSettings, database_identifier

Resource = dict[str, Any]

CLUSTER = "aws:eks/cluster:Cluster"
ADDON = "aws:eks/addon:Addon"
INSTANCE = "aws:rds/instance:Instance"
KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
VPC = "aws:ec2/vpc:Vpc"
KUBERNETES = "kubernetes:"
# Deleted after the pods that run on their nodes.
NODE_KINDS = ("NodePool", "NodeClass")
STORAGE_CLASS = "gp3"
# On top of the longest grace period: Karpenter drains and ends the instances, EBS detaches volumes.
NODE_MARGIN_SECONDS = 900
POLL_SECONDS = 5
PROGRESS_SECONDS = 60
# The API server may be restarting, or the network may be slow.
ATTEMPTS = 3
# https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
NO_BUILT_IN_POOLS = [
    "--compute-config",
    json.dumps({"enabled": True, "nodePools": []}),
    "--kubernetes-network-config",
    json.dumps({"elasticLoadBalancing": {"enabled": True}}),
    "--storage-config",
    json.dumps({"blockStorage": {"enabled": True}}),
]
UPDATE_SECONDS = 900
# Nothing to delete.
NOTHING = Deletion(status=0, errors={})


def down(session: Session) -> int:
    """Delete the stack except protected resources, and report what is left."""
    keys = _recovery_keys(session.stack)
    status = _down(session)
    for urn in keys.keys() - _recovery_keys(session.stack).keys():
        _, _, _, region, _, key = keys[urn].split(":")
        print(
            f"\nAWS keeps the replicated backups in {region} until their retention ends, and KMS "
            f"{key}, which encrypts them and each database that was restored from them. Once nothing "
            f"needs it: `aws kms schedule-key-deletion --region {region} --key-id {keys[urn]}`"
        )
    return status


def _recovery_keys(stack: Stack) -> dict[str, str]:
    """ARNs of the keys that Pulumi does not delete, by URN."""
    return {
        r["urn"]: r["outputs"]["arn"]
        for r in stack.resources()
        if r["type"] == KEY and r.get("retainOnDelete") and "arn" in r.get("outputs", {})
    }


def _down(session: Session) -> int:
    stack, account = session.stack, session.account
    if account is None or session.on_existing_cluster:
        return _down_on_existing_cluster(session)
    names = remember(session)
    cluster = existing_cluster(stack, account)
    if cluster is None:
        check_nothing_is_lost(stack)
        forget_objects(stack)
    uses_cluster = cluster is not None and has_objects(stack)
    if uses_cluster:
        shared_cluster.check_keda_is_unused(session)
    if uses_cluster and not is_kept(stack, CLUSTER):
        shared_cluster.check_no_other_stack(session)
    recover(session, with_cluster=uses_cluster)
    delete_copies(account, names)
    if not is_kept(stack, CLUSTER):
        deletion = delete_cluster(session, account, cluster)
        if deletion.status:
            return finish(session, deletion)
    # A security group of a deleted cluster blocks the VPC, for which Pulumi would wait in vain.
    sweep(stack, account, names)
    deletion = delete_the_rest(stack)
    swept = sweep(stack, account, names)
    if deletion.status and swept.deleted:
        deletion = delete_the_rest(stack)
    return finish(session, deletion, swept.kept)


def _down_on_existing_cluster(session: Session) -> int:
    """Pulumi deletes everything, of AWS an RDS instance; the cluster stays."""
    stack, account = session.stack, session.account
    shared_cluster.check_keda_is_unused(session)
    names = remember(session) if account is not None else Names()
    recover(session)
    if account is not None:
        delete_copies(account, names)
    deletion = stack.destroy("--exclude-protected")
    kept = sweep(stack, account, names).kept if account is not None else ()
    return finish(session, deletion, kept)


def delete_copies(account: Aws, names: Names) -> None:
    """Delete what killed drills have left: it is in no state, and would keep the VPC."""
    for instance in sorted(names.instances):
        rds.delete_copy(account, instance)


def delete_the_rest(stack: Stack) -> Deletion:
    if not stack.resources():
        return NOTHING
    print("\nDeleting the rest of the stack")
    return stack.destroy("--exclude-protected", "--continue-on-error")


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Whether leftovers of AWS were deleted, and lines about those that were not."""

    deleted: bool
    kept: Sequence[str]


def sweep(stack: Stack, account: Aws, names: Names) -> Swept:
    """Delete what AWS kept of deleted clusters and databases."""
    try:
        found = unlisted(stack, account, names)
        refused = leftovers.delete(account, found)
    except OperationError as error:
        # The command still deletes the rest of the stack.
        return Swept(deleted=False, kept=[f"not known: {error}"])
    kept = [f"{leftover}: {reason}" for leftover, reason in refused.items()]
    return Swept(deleted=len(refused) < len(found), kept=kept)


def finish(session: Session, deletion: Deletion, kept: Sequence[str] = ()) -> int:
    """Report what is left in the state and in AWS."""
    resources = session.stack.resources()
    lines = remaining.report(resources, deletion.errors)
    lines += _in_the_way(session.account, resources, deletion)
    if kept:
        lines.append("  kept by AWS, not in the state:")
        lines += [f"    {line}" for line in kept]
    if lines:
        print("\n".join(["", "Not deleted:", *lines]))
    elif not deletion.status:
        print("\nAll resources were deleted.")
    if any(resource.get("protect") for resource in resources):
        print(remaining.HOW_TO_UNPROTECT)
    elif lines:
        print("Next steps: docs/runbooks/delete-a-stack.md")
    return deletion.status or int(bool(kept))


def _in_the_way(
    account: Aws | None, resources: Sequence[Resource], deletion: Deletion
) -> list[str]:
    """What is in a VPC that AWS refused to delete."""
    vpcs = [r["id"] for r in resources if r["type"] == VPC and r["urn"] in deletion.errors]
    if account is None or not vpcs:
        return []
    return [
        line
        for vpc in vpcs
        for line in (f"  in {vpc}:", *(f"    {thing}" for thing in leftovers.in_vpc(account, vpc)))
    ]


def delete_cluster(session: Session, account: Aws, name: str | None) -> Deletion:
    """Empty the cluster if it exists, then delete it with what depends on it.

    Also one that is gone: a rule that names its security group keeps AWS from deleting the group.
    """
    if name is not None:
        deletion = empty_cluster(session, account, name)
        if deletion.status:
            return deletion
    stack = session.stack
    targets = [r["urn"] for r in stack.resources() if r["type"] == CLUSTER]
    if not targets:
        return NOTHING
    print(f"\nDeleting the EKS cluster {_cluster_name(stack)}")
    return stack.destroy(*target(targets))


def empty_cluster(session: Session, account: Aws, name: str) -> Deletion:
    """Delete everything in the cluster, and wait for its nodes and volumes."""
    stack = session.stack
    print("\nDeleting Airflow, KEDA and all other objects in the cluster, then the node pools")
    for is_part in (is_workload, is_node_kind):
        targets = [r["urn"] for r in stack.resources() if is_part(r)]
        if targets:
            deletion = stack.destroy(*target(targets))
            if deletion.status:
                return deletion
    end_built_in_pools(account, name)
    cluster = session.cluster()
    if cluster is not None:
        seconds = session.settings.longest_grace_seconds + NODE_MARGIN_SECONDS
        wait_for_nodes(cluster, stack.name, seconds)
    return NOTHING


def is_workload(resource: Resource) -> bool:
    """Objects in the cluster and add-ons: a PodDisruptionBudget of an add-on can hold a node."""
    of_kubernetes = resource["type"].startswith(KUBERNETES) and not is_node_kind(resource)
    return of_kubernetes or resource["type"] == ADDON


def is_node_kind(resource: Resource) -> bool:
    package, _, kind = resource["type"].split(":")
    return package == "kubernetes" and kind in NODE_KINDS


def target(urns: Sequence[str]) -> list[str]:
    # `--exclude-protected` is not allowed here: the caller selects nothing that is protected.
    return [*(word for urn in urns for word in ("--target", urn)), "--target-dependents"]


def is_kept(stack: Stack, kind: str) -> bool:
    """Whether a resource of the kind is protected or needed by a protected resource."""
    resources = stack.resources()
    protected = remaining.kept(resources)
    return any(r["type"] == kind and r["urn"] in protected for r in resources)


def await_deletion(session: Session) -> None:
    """Wait for the end of a deletion of the cluster that an interrupted command has requested."""
    name, account = _cluster_name(session.stack), session.account
    if name is None or account is None:
        return
    found = account.call_or_none("eks", "describe-cluster", "--name", name)
    if found is not None and found["cluster"]["status"] == "DELETING":
        print(f"EKS is deleting the cluster {name}: waiting for its end")
        account.wait("eks", "cluster-deleted", "--name", name)


def existing_cluster(stack: Stack, account: Aws) -> str | None:
    """Name of the EKS cluster of the state, if it exists in AWS."""
    name = _cluster_name(stack)
    return name if name is not None and leftovers.cluster_exists(account, name) else None


def _cluster_name(stack: Stack) -> str | None:
    return next((r["id"] for r in stack.resources() if r["type"] == CLUSTER), None)


def check_nothing_is_lost(stack: Stack) -> None:
    """Raise `OperationError` if the cluster is gone and protected: its volumes may still exist."""
    resources = stack.resources()
    protected = remaining.kept(resources)
    if not any(r["type"] == CLUSTER and r["urn"] in protected for r in resources):
        return
    inside = [r["urn"] for r in resources if r.get("protect") and _is_in_cluster(r)]
    commands = [f"  pulumi state unprotect '{urn}' --stack {stack.name} --yes" for urn in inside]
    raise OperationError(
        "\n".join(
            [
                "the EKS cluster of the state no longer exists, but it or an object in it is protected. "
                "Nothing was deleted. Save the data of its EBS volumes first; to give the protection up:",
                *commands,
                f"  make down STACK={stack.name}",
            ]
        )
    )


def _is_in_cluster(resource: Resource) -> bool:
    return resource["type"].startswith((KUBERNETES, "eks:")) or resource["type"] == CLUSTER


def has_objects(stack: Stack) -> bool:
    """Whether Pulumi has created objects in the cluster, or was creating one."""
    state = stack.state()
    pending = [operation["resource"] for operation in state.get("pending_operations", [])]
    return any(r["type"].startswith(KUBERNETES) for r in [*state.get("resources", []), *pending])


def forget_objects(stack: Stack) -> None:
    """Remove the objects of a cluster that no longer exists from the state.

    Pulumi would try to delete them. Its `PULUMI_K8S_DELETE_UNREACHABLE` does not apply to Helm
    releases: https://github.com/pulumi/pulumi-kubernetes/issues/2675
    """
    exported = stack.export()
    deployment = exported["deployment"]
    resources = deployment.get("resources", [])
    gone = {r["urn"] for r in resources if r["type"].startswith(KUBERNETES)}
    if not gone:
        return
    print(f"the EKS cluster no longer exists: forgetting its {len(gone)} objects")
    deployment["resources"] = [_without(r, gone) for r in resources if r["urn"] not in gone]
    deployment["pending_operations"] = [
        operation
        for operation in deployment.get("pending_operations", [])
        if operation["resource"]["urn"] not in gone
        and not operation["resource"]["type"].startswith(KUBERNETES)
    ]
    stack.output("stack", "import", "--stack", stack.name, stdin=json.dumps(exported))


def _without(resource: Resource, gone: set[str]) -> Resource:
    """The resource without its dependencies on resources that are gone."""
    changed = dict(resource)
    if "dependencies" in resource:
        changed["dependencies"] = [u for u in resource["dependencies"] if u not in gone]
    if "propertyDependencies" in resource:
        changed["propertyDependencies"] = {
            key: [u for u in urns or [] if u not in gone]
            for key, urns in resource["propertyDependencies"].items()
        }
    return changed


def end_built_in_pools(account: Aws, cluster: str) -> None:
    """Remove the node pools of EKS, which an earlier release of this program had."""
    found = account.call("eks", "describe-cluster", "--name", cluster)["cluster"]
    pools = (found.get("computeConfig") or {}).get("nodePools") or []
    if not pools:
        return
    print(f"\nRemoving the built-in node pools of EKS: {', '.join(pools)}")
    update = account.update_cluster(cluster, *NO_BUILT_IN_POOLS, seconds=UPDATE_SECONDS)
    if update["status"] != "Successful":
        errors = [error.get("errorMessage", "") for error in update.get("errors", [])]
        raise OperationError(
            f"EKS has not removed the built-in node pools of {cluster}: {update['status']} "
            f"{' '.join(errors)}".rstrip()
        )
    account.wait("eks", "cluster-active", "--name", cluster)


def wait_for_nodes(cluster: Kubernetes, stack: str, seconds: float) -> None:
    """Wait until the cluster has no node of Auto Mode and no volume. Raises `OperationError`."""
    started = shown = time.monotonic()
    left: list[Resource] | None = None
    failures = 0
    while (now := time.monotonic()) < started + seconds:
        try:
            found = nodes_and_volumes(cluster)
        except OperationError as error:
            failures += 1
            if left is None and failures == ATTEMPTS:
                # An access entry is deleted before its cluster: a repeated command cannot log in.
                print(f"cannot list the nodes of the cluster, which end with it: {error}")
                return
        else:
            if not found:
                return
            if _titles(found) != _titles(left or []) or now > shown + PROGRESS_SECONDS:
                limit = f"{round(now - started)} of at most {seconds:g} s"
                print(f"waiting for {_count(found)} to be deleted ({limit})")
                shown = now
            left = found
        time.sleep(POLL_SECONDS)
    raise OperationError(
        "\n".join(
            [
                f"nodes and volumes are left after {seconds:g} s. The cluster was not deleted: without "
                "it, they would stay in the account.",
                *(f"  {_title(item)}{_detail(cluster, item)}" for item in left or []),
                "Delete what holds them (docs/runbooks/delete-a-stack.md), then run "
                f"`make down STACK={stack}` again",
            ]
        )
    )


def nodes_and_volumes(cluster: Kubernetes) -> list[Resource]:
    """NodeClaims, their nodes, and PersistentVolumes on EBS."""
    found: list[Resource] = []
    for words in (
        ["nodeclaims.karpenter.sh"],
        ["nodes", "--selector", "karpenter.sh/nodepool"],
        ["persistentvolumes"],
    ):
        text = output(cluster.command("get", *words, "--output", "json"), seconds=30)
        found += json.loads(text)["items"]
    return [item for item in found if item["kind"] != "PersistentVolume" or _is_ours(item)]


def _is_ours(volume: Resource) -> bool:
    return volume["spec"].get("storageClassName") == STORAGE_CLASS


def _title(item: Resource) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def _titles(items: Sequence[Resource]) -> list[str]:
    return [_title(item) for item in items]


def _count(left: Sequence[Resource]) -> str:
    kinds = [item["kind"] for item in left]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _detail(cluster: Kubernetes, item: Resource) -> str:
    """Why the object still exists, as far as Kubernetes tells."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    facts: list[str] = []
    if "deletionTimestamp" not in metadata:
        facts.append("not being deleted")
    if finalizers := metadata.get("finalizers"):
        facts.append(f"finalizers {', '.join(finalizers)}")
    if item["kind"] == "PersistentVolume":
        claim = spec.get("claimRef", {})
        facts.append(f"{status.get('phase')}, claim {claim.get('namespace')}/{claim.get('name')}")
        if spec.get("persistentVolumeReclaimPolicy") == "Retain":
            facts.append("reclaim policy Retain")
    node = metadata["name"] if item["kind"] == "Node" else status.get("nodeName")
    if node and (pods := _pods(cluster, node)):
        facts.append(f"pods {', '.join(pods)}")
    return f": {'; '.join(facts)}" if facts else ""


def _pods(cluster: Kubernetes, node: str) -> list[str]:
    """Pods on a node that a drain evicts."""
    where = ["--all-namespaces", "--field-selector", f"spec.nodeName={node}", "--output", "json"]
    found = json.loads(output(cluster.command("get", "pods", *where), seconds=30))["items"]
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in found
        if all(o["kind"] != "DaemonSet" for o in pod["metadata"].get("ownerReferences", []))
    ]


def remember(session: Session) -> Names:
    """Names in AWS of the settings and the state, and those that earlier commands found in it.

    The state loses a name with its resource, but AWS may write logs under it later.
    """
    stack, settings = session.stack, session.settings
    resources = stack.resources()
    instances = {_identifier(r) for r in resources if r["type"] == INSTANCE}
    log_groups = {r.get("inputs", {}).get("name") for r in resources if r["type"] == LOG_GROUP}
    found = Names(
        clusters=frozenset(r["id"] for r in resources if r["type"] == CLUSTER),
        instances=frozenset(name for name in instances if name),
        log_groups=frozenset(name for name in log_groups if name),
    )
    found |= Names(namespaces=frozenset({settings.cluster.namespace}))
    if isinstance(settings.cluster, EksSettings):
        found |= Names(clusters=frozenset({cluster_name(settings.cluster, stack.name)}))
    if isinstance(settings.database, RdsSettings):
        numbers = range(1, settings.database.generation + 1)
        named = {database_identifier(settings.database, stack.name, n) for n in numbers}
        found |= Names(instances=frozenset(named))
    path = STATE / f"{stack.name}.names.json"
    if path.exists():
        found |= Names(
            **{key: frozenset(names) for key, names in json.loads(path.read_text()).items()}
        )
    STATE.mkdir(mode=0o700, exist_ok=True)
    path.write_text(json.dumps({key: sorted(names) for key, names in vars(found).items()}))
    return found


def _identifier(instance: Resource) -> str | None:
    both = {**instance.get("inputs", {}), **instance.get("outputs", {})}
    return both.get("identifier")


def unlisted(stack: Stack, account: Aws, names: Names) -> list[Leftover]:
    """Leftovers of AWS, without log groups that Pulumi deletes."""
    listed = {r.get("inputs", {}).get("name") for r in stack.resources() if r["type"] == LOG_GROUP}
    found = leftovers.find(account, names)
    return [one for one in found if one.kind != "log group" or one.name not in listed]
