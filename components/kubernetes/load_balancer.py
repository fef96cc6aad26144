"""Load balancer of the UI, which EKS Auto Mode creates from an IngressClass."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.support.chart_names import INGRESS
from settings.airflow import IngressSettings

CLASS = "airflow"
# Folder in the log bucket.
ACCESS_LOGS = "load-balancer"


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    settings: IngressSettings
    # Of the load balancer, its target groups and security groups.
    tags: Mapping[str, str]
    # A bucket in which the load balancer may write; without it, there are no access logs.
    access_log_bucket: pulumi.Input[str] | None = None


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
                "loadBalancerAttributes": _attributes(args.access_log_bucket),
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


def _attributes(access_log_bucket: pulumi.Input[str] | None) -> list[dict[str, pulumi.Input[str]]]:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html"""
    attributes: dict[str, pulumi.Input[str]] = {
        # A header with an invalid name can hide a second request from the load balancer.
        "routing.http.drop_invalid_header_fields.enabled": "true",
        # Not left out: the controller changes only attributes that it gets.
        "access_logs.s3.enabled": "false" if access_log_bucket is None else "true",
    }
    if access_log_bucket is not None:
        attributes["access_logs.s3.bucket"] = access_log_bucket
        attributes["access_logs.s3.prefix"] = ACCESS_LOGS
    return [{"key": key, "value": value} for key, value in attributes.items()]


def host_name(
    cluster_name: pulumi.Output[str], namespace: str, after: pulumi.Output[Any]
) -> pulumi.Output[str | None]:
    """Host name of the load balancer in AWS; `after` is an output of what creates the Ingress.

    None if AWS has not created it yet, or if it cannot be read: an export must not fail an update.
    """

    async def find(values: list[Any]) -> str | None:
        # Tags that Auto Mode sets:
        # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEKSLoadBalancingPolicy.html
        tags = {
            "eks:eks-cluster-name": values[0],
            "ingress.eks.amazonaws.com/stack": f"{namespace}/{INGRESS}",
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
