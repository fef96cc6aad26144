"""KEDA_CHART: counts waiting and running tasks in the database, and sets the number of workers by it."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.namespace import NAME as WATCHED
from components.kubernetes.namespace import PART_OF
from components.support.charts import chart_reference
from settings.charts import ChartSettings
from settings.keda import KEDA_NAMESPACE as NAMESPACE
from settings.versions import KEDA_CHART

# Its user of PostgreSQL: components/keda_role.py.
USER = "airflow_keda"
# Where its pods find the certificates that vouch for the database.
CA_PATH = "/etc/rds-ca"


def operator(namespace: str) -> dict[str, Any]:
    """The pods that connect to PostgreSQL, as a NetworkPolicy peer."""
    return {
        "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}},
        "pod_selector": {"match_labels": {"app": "keda-operator"}},
    }


@dataclass(frozen=True, kw_only=True)
class KedaArgs:
    database_ca: str | None
    charts: ChartSettings


class Keda(pulumi.ComponentResource):
    """KEDA_CHART in a namespace of its own, watching that of Airflow."""

    def __init__(
        self, name: str, args: KedaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Keda", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": NAMESPACE,
                "labels": {**PART_OF, "pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        values: dict[str, Any] = {
            "watchNamespace": WATCHED,
            "image": {"pullPolicy": "IfNotPresent"},
            # They check ScaledObjects that people write; the only one here comes from the Airflow chart.
            "webhooks": {"enabled": False},
        }
        if args.database_ca is not None:
            ca = k8s.core.v1.ConfigMap(
                f"{name}-database-ca",
                metadata={"name": "rds-ca", "namespace": namespace.metadata.name},
                data={"ca.pem": args.database_ca},
                opts=child,
            )
            values["volumes"] = {
                "keda": {
                    "extraVolumes": [{"name": "rds-ca", "configMap": {"name": ca.metadata.name}}],
                    "extraVolumeMounts": [
                        {"name": "rds-ca", "mountPath": CA_PATH, "readOnly": True}
                    ],
                }
            }
        k8s.helm.v3.Release(
            f"{name}-release",
            **chart_reference(KEDA_CHART, args.charts.source),
            name="keda",
            namespace=namespace.metadata.name,
            max_history=10,
            values=values,
            opts=child,
        )
        self.register_outputs({})
