"""The namespace of Airflow: Pod Security `restricted`, and ingress traffic denied by default."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.support.pull_secret import pull_secret

# `make up` recognizes its own namespace by these labels.
PART_OF = {"app.kubernetes.io/part-of": "airflow-platform"}
STACK_LABEL = "airflow-platform/stack"
# Labels of a namespace of this program.
# https://kubernetes.io/docs/concepts/security/pod-security-standards/
RESTRICTED = {**PART_OF, "pod-security.kubernetes.io/enforce": "restricted"}
# Labels that the chart sets on the pods of the release `airflow`.
PODS_OF_AIRFLOW = {"tier": "airflow", "release": "airflow"}
# On top of the grace period of the workers: Helm's own cleanup, detaching volumes.
DELETE_MARGIN_SECONDS = 600


def selector(name: str) -> dict[str, str]:
    """Label of the pods of a part of this program."""
    return {"app.kubernetes.io/name": name}


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    name: str
    # False: it exists, and outlives the stack.
    create: bool = True
    grace_seconds: int
    # Secret with the login to a private registry, and its content if the program creates it.
    pull_secret: str | None = None
    pull_credentials: pulumi.Output[str] | None = None


class Namespace(pulumi.ComponentResource):
    """Namespace in which pods must be restricted and accept only allowed connections."""

    name: pulumi.Output[str]
    pull_secret: pulumi.Input[str] | None

    def __init__(
        self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Namespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        self.name = pulumi.Output.from_input(args.name)
        if args.create:
            self.name = k8s.core.v1.Namespace(
                f"{name}-namespace",
                metadata=meta.ObjectMetaArgs(
                    name=args.name,
                    labels={**RESTRICTED, STACK_LABEL: pulumi.get_stack()},
                ),
                # Deletion waits until the last worker has finished its tasks.
                opts=pulumi.ResourceOptions(
                    parent=self,
                    custom_timeouts=pulumi.CustomTimeouts(
                        delete=f"{args.grace_seconds + DELETE_MARGIN_SECONDS}s"
                    ),
                ),
            ).metadata.name
        deny_ingress(name, self.name, opts=child)
        self.pull_secret = pull_secret(
            f"{name}-pull-secret",
            name=args.pull_secret,
            namespace=self.name,
            credentials=args.pull_credentials,
            opts=child,
        )
        self.register_outputs({"name": self.name})


def deny_ingress(name: str, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    """Pods of the namespace accept only connections that another NetworkPolicy allows."""
    k8s.networking.v1.NetworkPolicy(
        f"{name}-deny-ingress",
        metadata=meta.ObjectMetaArgs(name="deny-ingress", namespace=namespace),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.LabelSelectorArgs(), policy_types=["Ingress"]
        ),
        opts=opts,
    )
