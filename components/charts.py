"""The charts, and where they come from: their projects, a mirror, or a directory of archives."""

from dataclasses import dataclass
from typing import TypedDict

import pulumi_kubernetes as k8s


class ChartReference(TypedDict, total=False):
    """Arguments of a `helm.v3.Release`."""

    chart: str
    version: str
    repository_opts: k8s.helm.v3.RepositoryOptsArgs


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`repository` is the one of the project that makes the chart."""

    name: str
    version: str
    repository: str

    @property
    def archive(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    def reference(self, source: str | None) -> ChartReference:
        """Refer to the chart in `source`: a repository or a directory instead of the project's own."""
        place = (source or self.repository).rstrip("/")
        if place.startswith("oci://"):
            return {"chart": f"{place}/{self.name}", "version": self.version}
        if place.startswith("https://"):
            return {
                "chart": self.name,
                "version": self.version,
                "repository_opts": k8s.helm.v3.RepositoryOptsArgs(repo=place),
            }
        return {"chart": f"{place}/{self.archive}"}


AIRFLOW = Chart(
    name="airflow",
    version="1.22.0",  # renovate: datasource=helm depName=airflow
    repository="https://airflow.apache.org",
)
KEDA = Chart(
    name="keda",
    version="2.17.2",  # renovate: datasource=helm depName=keda
    repository="https://kedacore.github.io/charts",
)
