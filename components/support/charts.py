"""Arguments of a Helm release by the source of its chart: a repository, a mirror or a directory."""

from typing import TypedDict

import pulumi_kubernetes as k8s

from settings.versions import Chart


class ChartReference(TypedDict, total=False):
    """Arguments of a `helm.v3.Release`."""

    chart: str
    version: str
    repository_opts: k8s.helm.v3.RepositoryOptsArgs


def chart_reference(chart: Chart, source: str | None) -> ChartReference:
    """Refer to `chart` in `source`, by default the upstream repository of the chart."""
    location = (source or chart.repository).rstrip("/")
    if location.startswith("oci://"):
        return {"chart": f"{location}/{chart.name}", "version": chart.version}
    if location.startswith("https://"):
        return {
            "chart": chart.name,
            "version": chart.version,
            "repository_opts": k8s.helm.v3.RepositoryOptsArgs(repo=location),
        }
    return {"chart": f"{location}/{chart.archive}"}
