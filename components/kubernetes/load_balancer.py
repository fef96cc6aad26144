"""Load balancer of the UI, which EKS Auto Mode creates from an IngressClass."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from settings.airflow import IngressSettings

CLASS = "airflow"


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    settings: IngressSettings
    # Of the load balancer, its target groups and security groups.
    tags: Mapping[str, str]


class LoadBalancer(pulumi.ComponentResource):
    """IngressClass for HTTPS with the configured certificate."""

    def __init__(
        self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:LoadBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html
        parameters = k8s.apiextensions.CustomResource(
            f"{name}-parameters",
            api_version="eks.amazonaws.com/v1",
            kind="IngressClassParams",
            metadata=meta.ObjectMetaArgs(name=CLASS),
            spec={
                "scheme": args.settings.scheme,
                "certificateARNs": [args.settings.certificate_arn],
                "tags": [{"key": key, "value": value} for key, value in args.tags.items()],
            },
            opts=child,
        )
        k8s.networking.v1.IngressClass(
            f"{name}-class",
            metadata=meta.ObjectMetaArgs(name=CLASS),
            spec=k8s.networking.v1.IngressClassSpecArgs(
                controller="eks.amazonaws.com/alb",
                parameters=k8s.networking.v1.IngressClassParametersReferenceArgs(
                    api_group="eks.amazonaws.com", kind="IngressClassParams", name=CLASS
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[parameters]),
        )
        self.register_outputs({})
