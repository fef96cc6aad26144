"""An existing Kubernetes cluster, selected by its kubeconfig context."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from settings.cluster import ExistingClusterSettings


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs:
    settings: ExistingClusterSettings


class ExistingCluster(pulumi.ComponentResource):
    """Provider for the context in the settings, never for the current context."""

    provider: k8s.Provider

    def __init__(
        self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:ExistingCluster", name, None, opts)
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            context=args.settings.context,
            # Update in place: a replacement would delete them for a moment.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
