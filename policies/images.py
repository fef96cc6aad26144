"""Rules for container images.

Images in the default values of a chart are not checked: the chart version is pinned.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from policies import chart_values, pods
from policies.rule import Finding, Rule
from policies.view import Resource, Stack, describe

# The settings of the digests, by container or chart value. The other pods of this program run the
# image of Airflow.
DIGESTS = {
    "redis": "redis.digest",
    "database": "database.digest",
    "dump": "database.digest",
    "git-sync": "dags.git_sync_digest",
    "images.gitSync": "dags.git_sync_digest",
}


class Image(NamedTuple):
    """The path of an image, and its reference: `repository:tag@digest`."""

    resource: Resource
    where: str
    reference: str
    # How to set the digest.
    setting: str


def _in_values(values: Any, path: str) -> Iterator[tuple[str, str]]:
    """Images in chart values: maps such as {repository: redis, tag: "7.2"}."""
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
    of_airflow = [(release, _airflow(v)) for release, v in chart_values.of_airflow(stack)]
    digests = {**DIGESTS, **{reference: "airflow.digest" for _, reference in of_airflow}}
    for pod in pods.pods(stack):
        for container in pods.containers(pod):
            name, reference = str(container.get("name")), str(container["image"])
            setting = digests.get(reference) or digests.get(name)
            yield Image(pod.resource, f"{name}: image", reference, _to_set(setting))
    for release, reference in of_airflow:
        yield Image(release, "Airflow image", reference, _to_set("airflow.digest"))
    for release in stack.all(chart_values.RELEASE):
        for path, reference in _in_values(chart_values.of(release.inputs), ""):
            yield Image(release, path, reference, _to_set(digests.get(path)))


def _to_set(setting: str | None) -> str:
    return f"set {setting}" if setting else "append @sha256:..."


def _tags_are_pinned(stack: Stack) -> Iterator[Finding]:
    for image in _images(stack):
        name, _, digest = image.reference.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        if not digest and tag in ("", "latest"):
            yield Finding(
                resource=image.resource.name,
                urn=image.resource.urn,
                what=describe(image.where, image.reference),
                fix="Specify a version tag",
            )


def _digests_are_pinned(stack: Stack) -> Iterator[Finding]:
    for image in _images(stack):
        if "@sha256:" not in image.reference:
            yield Finding(
                resource=image.resource.name,
                urn=image.resource.urn,
                what=describe(image.where, image.reference),
                fix=f"`docker buildx imagetools inspect` prints the digest: {image.setting}",
            )


RULES = (
    Rule(
        name="image-tag-pinned",
        former_name="images-have-a-version",
        reason="The `latest` tag changes under a running stack, and a rollback does not restore the image",
        check=_tags_are_pinned,
    ),
    Rule(
        name="image-digest-pinned",
        former_name="images-have-a-digest",
        reason="A tag can be moved to another image after testing",
        check=_digests_are_pinned,
        level="production",
        excusable=True,
    ),
)
