"""Check of `airflow.xcom_bucket` in the cluster, before Airflow is changed."""

from dataclasses import dataclass

import pulumi

from components.support.chart_names import XCOM_CHECK
from components.support.check_job import check_job
from components.support.hardened_pod import IN_POD

SCRIPT = IN_POD / "xcom_check.py"


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
        check_job(
            name,
            namespace=args.namespace,
            component=XCOM_CHECK,
            image=args.image,
            script=SCRIPT,
            pull_secret=args.pull_secret,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
