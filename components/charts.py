"""Where a chart comes from: its project's repository, a mirror, or a directory of archives."""

from typing import TypedDict

import pulumi_kubernetes as k8s


class ChartReference(TypedDict, total=False):
    """Arguments of a `helm.v3.Release`."""

    chart: str
    version: str
    repository_opts: k8s.helm.v3.RepositoryOptsArgs


def chart(name: str, version: str, *, repository: str, source: str | None) -> ChartReference:
    """Refer to a chart; `source`, if set, replaces the project's own `repository`."""
    place = source or repository
    if place.startswith("oci://"):
        return {"chart": f"{place.rstrip('/')}/{name}", "version": version}
    if place.startswith("https://"):
        return {
            "chart": name,
            "version": version,
            "repository_opts": k8s.helm.v3.RepositoryOptsArgs(repo=place),
        }
    return {"chart": f"{place.rstrip('/')}/{name}-{version}.tgz"}
