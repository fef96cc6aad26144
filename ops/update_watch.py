"""Failures that `pulumi up` would wait for: ten minutes for an image, twenty for a release."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.kubernetes import keda
from components.kubernetes.namespace import PART_OF
from ops.kubernetes import Kubernetes
from ops.recovery.helm import RELEASE
from ops.session import Session
from ops.shell import attempt

SECONDS = 30
PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
# A Secret or ConfigMap, or a key of it, that a container refers to does not exist.
CONFIG = "CreateContainerConfigError"
# The kubelet tries again after 10, 20 and 40 s: a registry may be away for a moment.
# https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
PATIENCE_SECONDS = 90
# States of every start. Other reasons to wait are printed.
USUAL = ("ContainerCreating", "PodInitializing")

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A container that does not start, a pod without a node, or a Job that failed."""

    where: str
    reason: str
    # What an update waits for in vain.
    kind: Literal["pull", "config"] | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(kw_only=True)
class UpdateWatch:
    """Watches an update. `failure` says why it was stopped.

    `events` is the event log of the Pulumi CLI.
    """

    session: Session
    events: Path
    failure: str | None = None
    _cluster: Kubernetes | None = None
    # By `Problem.where`.
    _since: dict[str, float] = field(default_factory=dict[str, float])
    _printed: set[Problem] = field(default_factory=set[Problem])
    # Jobs that failed in an earlier update, by UID.
    _earlier: set[str] | None = None

    def stops(self) -> bool:
        """Whether the update should stop, because what it waits for cannot happen any more.

        Prints what a pod of the stack waits for, once it has waited for `PATIENCE_SECONDS`.
        """
        if _release_failed(self.events):
            # The error of Helm is in Pulumi's output. Jobs wait for tables of the release.
            self.failure = "The Helm release failed, so the update was stopped: see the error above"
            return True
        self._cluster = self._cluster or self.session.cluster()
        if self._cluster is None:
            return False
        with_keda = self.session.settings.installs_keda
        failed = dict(_failed_jobs(self._cluster))
        if self._earlier is None:
            self._earlier = set(failed)
        if new := [failed[uid] for uid in failed if uid not in self._earlier]:
            self.failure = _report("A Job of Airflow failed, so the update was stopped:", new)
            return True
        lasting = self._lasting(list(_problems(self._cluster, with_keda)))
        for kind, (heading, next_step) in FATAL.items():
            if found := [problem for problem in lasting if problem.kind == kind]:
                self.failure = f"{_report(heading, found)}\n{next_step(self.session)}"
                return True
        for problem in lasting:
            if problem not in self._printed:
                print(f"waiting for {problem}")
                self._printed.add(problem)
        return False

    def _lasting(self, problems: list[Problem]) -> list[Problem]:
        now = time.monotonic()
        self._since = {one.where: self._since.get(one.where, now) for one in problems}
        return [one for one in problems if now - self._since[one.where] >= PATIENCE_SECONDS]


def explain_pods(session: Session) -> None:
    """Print why pods are not ready, after an update that failed."""
    cluster = session.cluster()
    found = [] if cluster is None else list(_problems(cluster, session.settings.installs_keda))
    if found:
        print(_report("Pods are not ready:", found))


def _report(heading: str, problems: list[Problem]) -> str:
    return "\n".join(["", heading, *(f"  {problem}" for problem in problems)])


def _release_failed(events: Path) -> bool:
    """Pulumi starts no other operation after a failed one, but waits for those that run."""
    text = events.read_text() if events.exists() else ""
    complete = text[: text.rfind("\n") + 1].splitlines()
    failed = [json.loads(line) for line in complete if "resOpFailedEvent" in line]
    return any(event["resOpFailedEvent"]["metadata"]["type"] == RELEASE for event in failed)


def _problems(cluster: Kubernetes, with_keda: bool) -> Iterator[Problem]:
    """Of the pods of this program and of its charts."""
    label, value = next(iter(PART_OF.items()))
    ours = [(f"{label}={value}", cluster.namespace), ("release=airflow", cluster.namespace)]
    if with_keda:
        ours.append(("", keda.NAMESPACE))
    for selector, namespace in ours:
        for pod in _items(cluster, "pods", selector, namespace):
            yield from problems(pod)


def problems(pod: Object) -> Iterator[Problem]:
    """Why a pod does not start."""
    yield from _no_node(pod)
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in pod["status"].get(kind, []):
            yield from _not_started(pod, container)


def _failed_jobs(cluster: Kubernetes) -> Iterator[tuple[str, Problem]]:
    """By UID."""
    for job in _items(cluster, "jobs", "release=airflow", cluster.namespace):
        for condition in job["status"].get("conditions", []):
            if condition["type"] == "Failed" and condition["status"] == "True":
                name = job["metadata"]["name"]
                logs = " ".join(cluster.command("logs", f"job/{name}", "-n", cluster.namespace))
                reason = f"{condition.get('message', condition.get('reason', ''))}. Inspect: {logs}"
                yield job["metadata"]["uid"], Problem(where=f"Job {name}", reason=reason)


def _items(cluster: Kubernetes, kind: str, selector: str, namespace: str) -> list[Object]:
    words = ["get", kind, "--namespace", namespace, "--selector", selector, "--output", "json"]
    done = attempt(cluster.command(*words), seconds=SECONDS)
    # The cluster may not exist yet, or its API server may be restarting.
    return [] if done.returncode else json.loads(done.stdout)["items"]


def _no_node(pod: Object) -> Iterator[Problem]:
    for condition in pod["status"].get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            where = f"pod {pod['metadata']['name']}"
            yield Problem(where=where, reason=f"no node: {condition['message']}")


def _not_started(pod: Object, container: Object) -> Iterator[Problem]:
    waiting = container.get("state", {}).get("waiting", {})
    reason = waiting.get("reason")
    if reason is None or reason in USUAL:
        return
    where = f"pod {pod['metadata']['name']}, container {container['name']}"
    if reason in PULL:
        image = f"{where}, image {container['image']}"
        yield Problem(where=image, reason=_cause(waiting), kind="pull")
        return
    ended = container.get("lastState", {}).get("terminated", {})
    details = [reason, waiting.get("message") if not ended else _ending(ended)]
    text = ": ".join(" ".join(d.split()) for d in details if d)
    yield Problem(where=where, reason=text, kind="config" if reason == CONFIG else None)


def _ending(ended: Object) -> str:
    last = ended.get("message", "").strip().rpartition("\n")[2]
    return f"{ended['reason']}, exit code {ended['exitCode']}{last and f', {last}'}"


def _cause(waiting: dict[str, str]) -> str:
    """The answer of the registry, without the introduction of the kubelet."""
    text = re.sub(r'^Back-off pulling image "[^"]*"(: ErrImagePull: )?', "", waiting["message"])
    return " ".join(text.split()) or waiting["reason"]


def _correct_image(session: Session) -> str:
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


def _correct_reference(session: Session) -> str:
    name = session.stack.name
    return (
        f"Create what is missing, or correct its name in Pulumi.{name}.yaml or values/. Then run "
        f"`make up STACK={name}` again"
    )


# By kind of problem: the heading of the report, and what to do.
FATAL = {
    "pull": ("The nodes cannot pull an image, so the update was stopped:", _correct_image),
    "config": (
        "Containers refer to a Secret or ConfigMap that does not exist, so the update was stopped:",
        _correct_reference,
    ),
}
