"""The namespace that everything of Airflow lives in: restricted pods, and no traffic by default."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

NAME = "airflow"
# By these labels `make up` tells its own namespace from a foreign one.
PART_OF = {"app.kubernetes.io/part-of": "airflow-platform"}
STACK_LABEL = "airflow-platform/stack"
# What the chart labels the pods of the release `airflow` with.
PODS_OF_AIRFLOW = {"tier": "airflow", "release": "airflow"}
# Whose pods read metrics, as a NetworkPolicy peer.
MONITORING = {"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "monitoring"}}}


# Beyond the time that workers get: Helm's own clean-up, volumes.
DELETE_MARGIN_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    grace_seconds: int


class Namespace(pulumi.ComponentResource):
    """Pods must meet Pod Security `restricted`; nothing reaches them unless a policy says so."""

    name: pulumi.Output[str]

    def __init__(
        self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Namespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": NAME,
                "labels": {
                    **PART_OF,
                    STACK_LABEL: pulumi.get_stack(),
                    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
                    "pod-security.kubernetes.io/enforce": "restricted",
                },
            },
            # It is gone when its last worker has finished its tasks.
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    delete=f"{args.grace_seconds + DELETE_MARGIN_SECONDS}s"
                ),
            ),
        )
        self.name = namespace.metadata.name
        k8s.networking.v1.NetworkPolicy(
            f"{name}-deny-ingress",
            metadata={"name": "deny-ingress", "namespace": self.name},
            spec={"pod_selector": {}, "policy_types": ["Ingress"]},
            opts=child,
        )
        self.register_outputs({"name": self.name})
