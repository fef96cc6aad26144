"""The load balancer in front of the UI: EKS Auto Mode makes it from an IngressClass."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from settings.airflow import IngressSettings

CLASS = "airflow"


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    settings: IngressSettings


class LoadBalancer(pulumi.ComponentResource):
    """HTTPS with the certificate of the settings, and nothing else."""

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
            metadata={"name": CLASS},
            spec={
                "scheme": args.settings.scheme,
                "certificateARNs": [args.settings.certificate_arn],
            },
            opts=child,
        )
        k8s.networking.v1.IngressClass(
            f"{name}-class",
            metadata={"name": CLASS},
            spec={
                "controller": "eks.amazonaws.com/alb",
                "parameters": {
                    "api_group": "eks.amazonaws.com",
                    "kind": "IngressClassParams",
                    "name": CLASS,
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[parameters]),
        )
        self.register_outputs({})
