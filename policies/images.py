"""Rules for container images.

Images that only a chart's own values name are those of its pinned version; they are not looked at.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from policies import chart_values, pods
from policies.rule import Finding, Rule
from policies.view import Resource, Stack, is_


class Image(NamedTuple):
    """Where an image is named, and how: `repository:tag@digest`, as far as it is known."""

    resource: Resource
    where: str
    reference: str


def _in_values(values: Any, path: str) -> Iterator[tuple[str, str]]:
    """Maps such as {repository: redis, tag: "7.2"}, wherever a chart has them."""
    if not isinstance(values, dict):
        return
    tag, digest = values.get("tag"), values.get("digest")
    if values.get("repository") and (tag or digest):
        reference = f"{values['repository']}{f':{tag}' if tag else ''}"
        yield path, f"{reference}{f'@{digest}' if digest else ''}"
    for key, value in values.items():
        yield from _in_values(value, f"{path}.{key}" if path else str(key))


def _airflow(values: dict[str, Any]) -> str:
    tag, digest = values.get("defaultAirflowTag"), values.get("defaultAirflowDigest")
    reference = f"{values.get('defaultAirflowRepository')}{f':{tag}' if tag else ''}"
    return f"{reference}{f'@{digest}' if digest else ''}"


def _images(stack: Stack) -> Iterator[Image]:
    for pod in pods.pods(stack):
        for container in pods.containers(pod):
            yield Image(pod.resource, f"{container.get('name')}: image", str(container["image"]))
    for release, values in chart_values.of_airflow(stack):
        yield Image(release, "Airflow's image", _airflow(values))
    for release in stack.all(chart_values.RELEASE):
        for path, reference in _in_values(chart_values.of(release.inputs), ""):
            yield Image(release, path, reference)


def _images_have_a_version(stack: Stack) -> Iterator[Finding]:
    for image in _images(stack):
        name, _, digest = image.reference.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        if not digest and tag in ("", "latest"):
            yield Finding(
                resource=image.resource.name,
                urn=image.resource.urn,
                what=is_(image.where, image.reference),
                fix="Name a version",
            )


def _images_have_a_digest(stack: Stack) -> Iterator[Finding]:
    for image in _images(stack):
        if "@sha256:" not in image.reference:
            ours = (
                "set airflow.digest" if image.where == "Airflow's image" else "append @sha256:..."
            )
            yield Finding(
                resource=image.resource.name,
                urn=image.resource.urn,
                what=is_(image.where, image.reference),
                fix=f"`docker buildx imagetools inspect` prints the digest: {ours}",
            )


RULES = (
    Rule(
        name="images-have-a-version",
        reason="What `latest` is changes under a running stack, and no roll-back brings it back",
        check=_images_have_a_version,
    ),
    Rule(
        name="images-have-a-digest",
        reason="A tag can be moved to another image after it was tested",
        check=_images_have_a_digest,
        level="production",
        excusable=True,
    ),
)
