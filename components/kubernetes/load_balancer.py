"""Load balancer of the UI, which EKS Auto Mode creates from an IngressClass."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import NAME as NAMESPACE
from components.support.chart_names import INGRESS
from settings.airflow import IngressSettings

CLASS = "airflow"


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    settings: IngressSettings


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


def host_name(
    cluster_name: pulumi.Output[str], after: pulumi.Output[Any]
) -> pulumi.Output[str | None]:
    """Host name of the load balancer in AWS; `after` is an output of what creates the Ingress.

    None if AWS has not created it yet, or if it cannot be read: an export must not fail an update.
    """

    async def find(values: list[Any]) -> str | None:
        # Tags that Auto Mode sets:
        # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEKSLoadBalancingPolicy.html
        tags = {
            "eks:eks-cluster-name": values[0],
            "ingress.eks.amazonaws.com/stack": f"{NAMESPACE}/{INGRESS}",
            "ingress.eks.amazonaws.com/resource": "LoadBalancer",
        }
        try:
            found = await _look_up("aws:lb/getLbs:getLbs", tags=tags)
            for arn in found["arns"]:
                balancer = await _look_up("aws:lb/getLoadBalancer:getLoadBalancer", arn=arn)
                return balancer["dnsName"]
        except Exception as error:  # the provider's error has no class of its own
            pulumi.log.debug(f"the load balancer cannot be read: {error}")
        return None

    return pulumi.Output.all(cluster_name, after).apply(find)


async def _look_up(token: str, **arguments: Any) -> dict[str, Any]:
    # The version selects the default provider, which the resources of the stack use.
    options = pulumi.InvokeOptions(version=version("pulumi-aws"))
    return await pulumi.runtime.invoke_async(token, arguments, options)
