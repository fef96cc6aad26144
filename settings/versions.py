"""Every pinned version that a stack installs. Python packages: requirements.lock."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart, from the repository of the project that publishes it."""

    name: str
    version: str
    repository: str

    @property
    def archive(self) -> str:
        return f"{self.name}-{self.version}.tgz"


AIRFLOW = "3.3.2"  # default of airflow.version
# Every version that a stack may run, and the targets that tested it: CONTRIBUTING.md.
AIRFLOW_VERSIONS = {
    "3.2.2": ("make check", "make chart-test", "make e2e", "make engine"),
    "3.3.2": ("make check", "make chart-test", "make e2e", "make engine", "make bench-workers"),
}
KUBERNETES = "1.35"  # default of cluster.version: docs/adr/0010-kubernetes-1.35.md
POSTGRES = "16"  # major version on RDS

# After a change: `python -m ops.docs.chart_keys charts/airflow-<version>.tgz`.
AIRFLOW_CHART = Chart(
    name="airflow",
    version="1.22.0",  # renovate: datasource=helm depName=airflow
    repository="https://airflow.apache.org",
)
KEDA_CHART = Chart(
    name="keda",
    version="2.20.2",  # renovate: datasource=helm depName=keda
    repository="https://kedacore.github.io/charts",
)
# Kubernetes versions with which KEDA's maintainers tested a minor version; read on 2026-11-28.
KEDA_KUBERNETES_SOURCE = "https://keda.sh/docs/latest/operate/cluster/"
KEDA_KUBERNETES = {
    "2.16": ("1.29", "1.30", "1.31"),
    "2.17": ("1.30", "1.31", "1.32"),
    "2.18": ("1.31", "1.32", "1.33"),
    "2.19": ("1.32", "1.33", "1.34"),
    "2.20": ("1.33", "1.34", "1.35"),
    "2.21": ("1.34", "1.35", "1.36"),
}
# Of the chart's version.
KEDA_IMAGES = tuple(
    f"ghcr.io/kedacore/{name}:{KEDA_CHART.version}" for name in ("keda", "keda-metrics-apiserver")
)
# In the values of the Airflow chart.
STATSD_IMAGE = "quay.io/prometheus/statsd-exporter:v0.30.0"
GIT_SYNC_IMAGE = "registry.k8s.io/git-sync/git-sync:v4.4.2"  # renovate: datasource=docker
# With the Debian release: the tag `postgres:16` has moved from Debian 12 to Debian 13, whose C library
# may sort text in another order than the indexes of an existing volume (docs/troubleshooting.md).
POSTGRES_IMAGE = "postgres:16.15-bookworm"  # renovate: datasource=docker
REDIS_IMAGE = "redis:7.2.16-bookworm"  # renovate: datasource=docker
