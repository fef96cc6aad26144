"""KEDA: scales workers on the number of queued and running tasks in the database."""

from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import RESTRICTED, deny_ingress
from components.support import cluster_rules, network_peers
from components.support.charts import chart_reference
from components.support.pull_secret import pull_secret
from settings.charts import ChartSettings
from settings.keda import KEDA_NAMESPACE as NAMESPACE
from settings.kubernetes import KubernetesSettings
from settings.versions import KEDA_CHART

# Mount path of the CA bundle of the database in KEDA's and in Airflow's pods.
CA_PATH = "/etc/rds-ca"
# Labels and ports of the chart: https://keda.sh/docs/2.17/operate/cluster/#firewall
OPERATOR = {"app": "keda-operator"}
METRICS_SERVER = {"app": "keda-operator-metrics-apiserver"}
OPERATOR_PORT = 9666
METRICS_SERVER_PORT = 6443
PROMETHEUS_PORT = 8080


def operator(namespace: str) -> network_peers.Peer:
    """Pods of KEDA that connect to PostgreSQL."""
    return network_peers.pods(OPERATOR, namespace=namespace)


def _images(registry: str | None) -> dict[str, Any]:
    if registry is None:
        return {}
    copies = {"registry": registry}
    return {"keda": copies, "metricsApiServer": copies}


@dataclass(frozen=True, kw_only=True)
class KedaArgs:
    # The only namespace in which it scales and reads Secrets; empty: all.
    watched_namespace: str
    # CA bundle (PEM) of a database with TLS.
    database_ca: str | None
    charts: ChartSettings
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    # Registry with copies of its images.
    registry: str | None = None
    # Secret with the login to a private registry, and its content if the program creates it.
    pull_secret: str | None = None
    pull_credentials: pulumi.Output[str] | None = None


class Keda(pulumi.ComponentResource):
    """KEDA in its own namespace, closed but for its two ports."""

    def __init__(
        self, name: str, args: KedaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Keda", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=meta.ObjectMetaArgs(
                name=NAMESPACE,
                labels=RESTRICTED,
            ),
            opts=child,
        )
        deny_ingress(name, namespace.metadata.name, opts=child)
        for part, labels, rules in (
            ("operator", OPERATOR, [_allow(OPERATOR_PORT, network_peers.pods(METRICS_SERVER))]),
            (
                "metrics",
                METRICS_SERVER,
                [
                    # The API server is no pod, and its addresses differ: those of EKS are in the VPC,
                    # as are those of every pod. KEDA authenticates and authorizes each request:
                    # https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
                    _allow(METRICS_SERVER_PORT),
                    _allow(PROMETHEUS_PORT, network_peers.monitoring()),
                ],
            ),
        ):
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{part}-clients",
                metadata=meta.ObjectMetaArgs(
                    name=f"{part}-clients", namespace=namespace.metadata.name
                ),
                spec=k8s.networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.LabelSelectorArgs(match_labels=labels),
                    policy_types=["Ingress"],
                    ingress=rules,
                ),
                opts=child,
            )
        values: dict[str, Any] = {
            "watchNamespace": args.watched_namespace,
            "image": {"pullPolicy": "IfNotPresent", **_images(args.registry)},
            # Without it, KEDA may read every object in the watched namespace. It scales Deployments.
            "rbac": {"enabledCustomScaledRefKinds": False},
            # The webhooks validate hand-written ScaledObjects; here only the Airflow chart creates
            # them.
            "webhooks": {"enabled": False},
            **cluster_rules.keda_values(args.kubernetes),
        }
        login = pull_secret(
            f"{name}-pull-secret",
            name=args.pull_secret,
            namespace=namespace.metadata.name,
            credentials=args.pull_credentials,
            opts=child,
        )
        if login is not None:
            values["imagePullSecrets"] = [{"name": login}]
        if args.database_ca is not None:
            ca = k8s.core.v1.ConfigMap(
                f"{name}-database-ca",
                metadata=meta.ObjectMetaArgs(name="rds-ca", namespace=namespace.metadata.name),
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


def _allow(
    port: int, client: network_peers.Peer | None = None
) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    """Connections to a port from a client (default: any)."""
    return k8s.networking.v1.NetworkPolicyIngressRuleArgs(
        from_=[client] if client else None,
        ports=[k8s.networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")],
    )
