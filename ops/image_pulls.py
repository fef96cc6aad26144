"""Images that the nodes cannot pull: `pulumi up` would wait for a timeout of ten minutes or more."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from components.kubernetes import keda
from components.kubernetes.namespace import PART_OF
from ops.kubernetes import Kubernetes
from ops.session import Session
from ops.shell import attempt

SECONDS = 30
REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
# The kubelet tries again after 10, 20 and 40 s: a registry may be away for a moment.
# https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
PATIENCE_SECONDS = 90
REVISION = "controller-revision-hash"

Pod = dict[str, Any]


@dataclass(kw_only=True)
class PullWatch:
    """Watches the pods of a stack during an update. `failure` says why the update was stopped."""

    session: Session
    failure: str | None = None
    _cluster: Kubernetes | None = None
    # By pod and container.
    _failing_since: dict[tuple[str, str], float] = field(
        default_factory=dict[tuple[str, str], float]
    )

    def stops(self) -> bool:
        """Whether the update should stop, because an image could not be pulled several times."""
        self._cluster = self._cluster or self.session.cluster()
        if self._cluster is None:
            return False
        failing = list(_failing(self._cluster, self.session.settings.installs_keda))
        now = time.monotonic()
        self._failing_since = {one.key: self._failing_since.get(one.key, now) for one in failing}
        lasting = [one for one in failing if now - self._failing_since[one.key] >= PATIENCE_SECONDS]
        if lasting:
            lines = [f"  {one}" for one in lasting]
            heading = "The nodes cannot pull an image, so the update was stopped:"
            self.failure = "\n".join(["", heading, *lines, _next_step(self.session)])
        return bool(lasting)


@dataclass(frozen=True, kw_only=True)
class Failing:
    pod: str
    container: str
    image: str
    reason: str

    @property
    def key(self) -> tuple[str, str]:
        return self.pod, self.container

    def __str__(self) -> str:
        return f"pod {self.pod}, container {self.container}, image {self.image}: {self.reason}"


def _failing(cluster: Kubernetes, with_keda: bool) -> Iterator[Failing]:
    """Containers that wait for their image, of the pods of this program and of its charts."""
    label, value = next(iter(PART_OF.items()))
    ours = [[f"{label}={value}", cluster.namespace], ["release=airflow", cluster.namespace]]
    if with_keda:
        ours.append(["", keda.NAMESPACE])
    for selector, namespace in ours:
        for pod in _pods(cluster, selector, namespace):
            waiting = list(_waiting(pod))
            if waiting and not _is_replaced(cluster, pod):
                yield from waiting


def _pods(cluster: Kubernetes, selector: str, namespace: str) -> list[Pod]:
    words = ["get", "pods", "--namespace", namespace, "--selector", selector, "--output", "json"]
    done = attempt(cluster.command(*words), seconds=SECONDS)
    # The cluster may not exist yet, or its API server may be restarting.
    return [] if done.returncode else json.loads(done.stdout)["items"]


def _waiting(pod: Pod) -> Iterator[Failing]:
    status = pod["status"]
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind, []):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in REASONS:
                yield Failing(
                    pod=pod["metadata"]["name"],
                    container=container["name"],
                    image=container["image"],
                    reason=_cause(waiting),
                )


def _cause(waiting: dict[str, str]) -> str:
    """The answer of the registry, without the introduction of the kubelet."""
    text = re.sub(r'^Back-off pulling image "[^"]*"(: ErrImagePull: )?', "", waiting["message"])
    return " ".join(text.split()) or waiting["reason"]


def _is_replaced(cluster: Kubernetes, pod: Pod) -> bool:
    """Delete the pod of a StatefulSet that has a new template.

    The controller would wait for ever until the old pod is ready:
    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """
    metadata = pod["metadata"]
    owners = [o for o in metadata.get("ownerReferences", []) if o["kind"] == "StatefulSet"]
    if not owners:
        return False
    where = ["--namespace", metadata["namespace"]]
    current = "jsonpath={.status.updateRevision}"
    words = ["get", "statefulset", owners[0]["name"], *where, "--output", current]
    revision = attempt(cluster.command(*words), seconds=SECONDS).stdout
    if revision in ("", metadata["labels"].get(REVISION)):
        return False
    attempt(
        cluster.command("delete", "pod", metadata["name"], *where, "--wait=false"), seconds=SECONDS
    )
    return True


def _next_step(session: Session) -> str:
    name, secret = session.stack.name, session.settings.images.pull_secret
    login = (
        f"check the Secret {secret}, of images.pull_secret"
        if secret
        else "set images.pull_secret if the registry needs a login"
    )
    return (
        f"Correct the image in Pulumi.{name}.yaml, or {login} "
        f"(docs/clusters.md). Then run `make up STACK={name}` again"
    )
