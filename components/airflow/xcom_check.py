"""Check of `airflow.xcom_bucket` in the cluster, before Airflow is changed."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core

from components.support.chart_names import XCOM_CHECK
from components.support.check_job import check_job
from components.support.hardened_pod import (
    IN_POD,
    container_security,
    pod_security,
    resources,
)
from components.support.pull_secret import references

SCRIPT = IN_POD / "xcom_check.py"
USER_ID = 50000  # `airflow` in the Airflow image
MEMORY_MB = 128


@dataclass(frozen=True, kw_only=True)
class XComCheckArgs:
    namespace: pulumi.Input[str]
    image: str
    pull_secret: pulumi.Input[str] | None = None


class XComCheck(pulumi.ComponentResource):
    """Job that fails if the image lacks a package for XComs in a bucket."""

    def __init__(
        self, name: str, args: XComCheckArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:XComCheck", name, None, opts)
        container = core.ContainerArgs(
            name=XCOM_CHECK,
            image=args.image,
            image_pull_policy="IfNotPresent",
            command=["python", "-c", SCRIPT.read_text()],
            resources=resources(MEMORY_MB),
            security_context=container_security(),
        )
        pod = core.PodSpecArgs(
            restart_policy="Never",
            automount_service_account_token=False,
            enable_service_links=False,
            image_pull_secrets=references(args.pull_secret),
            security_context=pod_security(user_id=USER_ID, group_id=0),
            containers=[container],
        )
        check_job(
            name,
            namespace=args.namespace,
            component=XCOM_CHECK,
            pod=pod,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
