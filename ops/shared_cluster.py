"""Stacks that share a cluster: each has its namespace, and one of them installs KEDA.

docs/adr/0026-stacks-share-a-cluster.md
"""

import json
from typing import Any

from components.kubernetes.keda import CA_PATH, OPERATOR
from components.kubernetes.namespace import STACK_LABEL
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import OperationError, attempt
from ops.stack_files import project

SECONDS = 30
NAMESPACE_TYPE = "kubernetes:core/v1:Namespace"
# Names of resources of the program; KEDA has a namespace of its own.
NAMESPACE, KEDA = "namespace-namespace", "keda-release"
# https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
SCALED_OBJECTS = "scaledobjects.keda.sh"


def check_namespace(session: Session) -> None:
    """Raise `OperationError` if the stack file names another namespace than the deployed one."""
    stack, wanted = session.stack, session.settings.cluster.namespace
    for resource in stack.resources():
        if resource["type"] != NAMESPACE_TYPE or not resource["urn"].endswith(f"::{NAMESPACE}"):
            continue
        present = resource.get("outputs", {}).get("metadata", {}).get("name", wanted)
        if present != wanted:
            raise OperationError(
                f"Pulumi.{stack.name}.yaml:\n  {project()}:settings.cluster.namespace: this stack is "
                f"deployed in the namespace {present}; in {wanted} it would start with empty volumes. "
                f"Nothing was changed. Set `namespace: {present}` in the section `cluster`, or run "
                f"`make down STACK={stack.name}` first"
            )


def check_storage(session: Session) -> None:
    """Raise `OperationError` if new volumes would wait for a StorageClass that does not exist."""
    cluster = session.cluster()
    if not session.on_existing_cluster or cluster is None:
        return
    done = attempt(cluster.command("get", "storageclasses", "--output", "json"), seconds=SECONDS)
    if done.returncode:  # a user with rights in one namespace only
        return
    classes = {c["metadata"]["name"]: c["metadata"] for c in json.loads(done.stdout)["items"]}
    wanted = session.settings.storage_class
    is_default = any(
        metadata.get("annotations", {}).get(DEFAULT_CLASS) == "true"
        for metadata in classes.values()
    )
    if wanted in classes or (wanted is None and is_default):
        return
    missing = f"has no StorageClass {wanted}" if wanted else "has no default StorageClass"
    raise OperationError(
        f"Pulumi.{session.stack.name}.yaml:\n  {project()}:settings.cluster.storage_class: the cluster of "
        f"context {cluster.name!r} {missing}, but {', '.join(sorted(classes)) or 'no class at all'}. "
        "Nothing was changed. Set cluster.storage_class to one of them, or create the class"
    )


def check_keda(session: Session) -> None:
    """Raise `OperationError` if the KEDA of another installation does not serve this stack."""
    settings, cluster = session.settings, session.cluster()
    if cluster is None or not settings.needs_keda or not settings.keda.existing:
        return
    labels = ",".join(f"{key}={value}" for key, value in OPERATOR.items())
    found = cluster.items("deployment", labels, settings.keda.namespace)
    where = f"namespace {settings.keda.namespace!r} of context {cluster.name!r}"
    if not found:
        raise OperationError(
            f"there is no KEDA in {where}, but keda.existing is true in Pulumi.{session.stack.name}.yaml. "
            "Nothing was changed. Correct keda.namespace, or remove keda.existing"
        )
    (container, *_) = found[0]["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
    if settings.database.uses_tls and CA_PATH not in mounted:
        raise OperationError(
            f"the KEDA in {where} has no CA bundle at {CA_PATH}, with which it verifies the database. "
            "Nothing was changed. Mount it there (docs/clusters.md), or set workers.scaling to cpu or "
            "fixed"
        )
    watched = [name.strip() for name in _watched(container).split(",")]
    if watched != [""] and cluster.namespace not in watched:
        raise OperationError(
            f"the KEDA in {where} serves {', '.join(watched)} only: it would not scale the workers in "
            f"{cluster.namespace!r}. Nothing was changed. Set keda.all_namespaces: true in the stack "
            "that installs KEDA and run its `make up`, or set workers.scaling to cpu or fixed"
        )


def _watched(container: dict[str, Any]) -> str:
    """https://keda.sh/docs/2.17/operate/cluster/#restrict-the-namespaces-keda-is-watching"""
    env = {each["name"]: each.get("value", "") for each in container.get("env", [])}
    return env.get("WATCH_NAMESPACE", "")


def check_no_other_stack(session: Session) -> None:
    """Raise `OperationError` if other stacks run in the cluster that `down` would delete."""
    cluster = session.cluster()
    stacks = _other_stacks(cluster) if cluster is not None else []
    if stacks:
        raise OperationError(
            f"the cluster of stack {session.stack.name!r} also runs {', '.join(stacks)}. Nothing was "
            f"deleted: run `make down` for {'them' if len(stacks) > 1 else 'it'} first"
        )


def check_keda_is_unused(session: Session) -> None:
    """Raise `OperationError` if other namespaces use the KEDA that the command would delete."""
    cluster = session.cluster()
    users = sorted(_users_of_keda(cluster)) if cluster is not None else []
    if users and any(r["urn"].endswith(f"::{KEDA}") for r in session.stack.resources()):
        raise OperationError(
            f"stack {session.stack.name!r} installed the KEDA of this cluster, which also scales "
            f"workers in {', '.join(users)}. Nothing was changed: run `make down` for the stacks there "
            "first, or set their workers.scaling to cpu or fixed and run `make up`"
        )


def _other_stacks(cluster: Kubernetes) -> list[str]:
    """Stacks of this program in other namespaces."""
    labels = {
        item["metadata"]["name"]: item["metadata"]["labels"][STACK_LABEL]
        for item in _all(cluster, "namespaces", "--selector", STACK_LABEL)
    }
    return [
        f"stack {stack!r} in namespace {namespace!r}"
        for namespace, stack in sorted(labels.items())
        if namespace != cluster.namespace
    ]


def _users_of_keda(cluster: Kubernetes) -> set[str]:
    """Other namespaces with ScaledObjects."""
    found = _all(cluster, SCALED_OBJECTS, "--all-namespaces")
    return {item["metadata"]["namespace"] for item in found} - {cluster.namespace}


def _all(cluster: Kubernetes, kind: str, *words: str) -> list[dict[str, Any]]:
    """None of a kind that the cluster lacks, or if it rejects this user: it is being deleted."""
    command = cluster.command("get", kind, *words, "--output", "json")
    done = attempt(command, seconds=SECONDS)
    return [] if done.returncode else json.loads(done.stdout)["items"]
