"""Pods of tasks: a namespace for KubernetesPodOperator, apart from the Secrets of Airflow."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import RESTRICTED, STACK_LABEL, deny_ingress
from components.support.cluster_rules import cpu_limit
from components.support.pull_secret import pull_secret
from settings.task_pods import TaskPodSettings

# Of a container without resources of its own; the quota counts both.
DEFAULT_CPU, DEFAULT_MEMORY = "250m", "512Mi"
# What KubernetesPodOperator calls; `pods/exec` reads the result of a task (XCom).
# https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
RULES = (
    ("pods", ["create", "get", "list", "watch", "patch", "delete"]),
    ("pods/log", ["get"]),
    ("pods/exec", ["create", "get"]),
    ("events", ["list", "watch"]),
)


@dataclass(frozen=True, kw_only=True)
class TaskPodsArgs:
    namespace: str
    # Namespace of Airflow.
    airflow_namespace: pulumi.Input[str]
    # ServiceAccounts of the workers that may start pods.
    service_accounts: Sequence[str]
    settings: TaskPodSettings
    # Also give containers without resources a CPU limit.
    cpu_limits: bool = False
    # Secret with the login to a private registry, and its content if the program creates it.
    pull_secret: str | None = None
    pull_credentials: pulumi.Output[str] | None = None


class TaskPods(pulumi.ComponentResource):
    """Namespace with a quota in which the tasks of some queues start restricted pods."""

    def __init__(
        self, name: str, args: TaskPodsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:TaskPods", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        limits = {"memory": DEFAULT_MEMORY}
        if args.cpu_limits:
            limits["cpu"] = cpu_limit(DEFAULT_CPU)

        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=meta.ObjectMetaArgs(
                name=args.namespace,
                labels={**RESTRICTED, STACK_LABEL: pulumi.get_stack()},
            ),
            opts=child,
        ).metadata.name
        deny_ingress(name, namespace, opts=child)
        login = pull_secret(
            f"{name}-pull-secret",
            name=args.pull_secret,
            namespace=namespace,
            credentials=args.pull_credentials,
            opts=child,
        )
        if login is not None:
            # Pods of a task have the ServiceAccount `default`, which Kubernetes creates.
            k8s.core.v1.ServiceAccountPatch(
                f"{name}-default",
                metadata=meta.ObjectMetaPatchArgs(name="default", namespace=namespace),
                image_pull_secrets=[k8s.core.v1.LocalObjectReferencePatchArgs(name=login)],
                opts=child,
            )
        k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=meta.ObjectMetaArgs(name="task-pods", namespace=namespace),
            spec=k8s.core.v1.ResourceQuotaSpecArgs(
                hard={
                    "pods": str(args.settings.max),
                    "requests.cpu": f"{args.settings.cpu:g}",
                    "limits.memory": f"{args.settings.memory_mb}Mi",
                }
            ),
            opts=child,
        )
        k8s.core.v1.LimitRange(
            f"{name}-defaults",
            metadata=meta.ObjectMetaArgs(name="task-pods", namespace=namespace),
            spec=k8s.core.v1.LimitRangeSpecArgs(
                limits=[
                    k8s.core.v1.LimitRangeItemArgs(
                        type="Container",
                        default=limits,
                        default_request={"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY},
                    )
                ]
            ),
            opts=child,
        )
        role = k8s.rbac.v1.Role(
            f"{name}-role",
            metadata=meta.ObjectMetaArgs(name="task-pods", namespace=namespace),
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=[resource], verbs=verbs)
                for resource, verbs in RULES
            ],
            opts=child,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-workers",
            metadata=meta.ObjectMetaArgs(name="task-pods", namespace=namespace),
            role_ref=k8s.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name
            ),
            subjects=[
                k8s.rbac.v1.SubjectArgs(
                    kind="ServiceAccount", name=account, namespace=args.airflow_namespace
                )
                for account in args.service_accounts
            ],
            opts=child,
        )
        self.register_outputs({})
