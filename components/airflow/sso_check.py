"""Check of `airflow.sso` in the cluster, before Airflow is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.airflow.sso import CA_CONFIG_MAP, CA_FOLDER, CLIENT_SECRET
from components.support.chart_names import SSO_CHECK
from components.support.check_job import check_job
from components.support.hardened_pod import IN_POD, plain_env
from components.support.named_secret import NamedSecret, secret_env

SCRIPT = IN_POD / "sso_check.py"


@dataclass(frozen=True, kw_only=True)
class SsoCheckArgs:
    namespace: pulumi.Input[str]
    image: str
    # Environment variable AIRFLOW_SSO of the API server.
    configuration: str
    client_secret: NamedSecret
    # CA certificates (PEM) of the provider.
    ca: str | None
    pull_secret: pulumi.Input[str] | None = None
    # Environment variables of the proxy.
    proxy: Mapping[str, str] = field(default_factory=dict[str, str])


class SsoCheck(pulumi.ComponentResource):
    """Job that fails if the image or the provider is not ready for `airflow.sso`."""

    def __init__(
        self, name: str, args: SsoCheckArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:SsoCheck", name, None, opts)

        ca = mounts = volumes = None
        if args.ca is not None:
            ca = core.ConfigMap(
                f"{name}-ca",
                metadata=meta.ObjectMetaArgs(name=CA_CONFIG_MAP, namespace=args.namespace),
                data={"ca.pem": args.ca},
                opts=pulumi.ResourceOptions(parent=self),
            )
            mounts = [core.VolumeMountArgs(name="ca", mount_path=CA_FOLDER, read_only=True)]
            config_map = core.ConfigMapVolumeSourceArgs(name=CA_CONFIG_MAP)
            volumes = [core.VolumeArgs(name="ca", config_map=config_map)]
        check_job(
            name,
            namespace=args.namespace,
            component=SSO_CHECK,
            image=args.image,
            script=SCRIPT,
            pull_secret=args.pull_secret,
            env=[
                core.EnvVarArgs(name="AIRFLOW_SSO", value=args.configuration),
                secret_env("AIRFLOW_SSO_CLIENT_SECRET", args.client_secret, CLIENT_SECRET),
                *plain_env(args.proxy),
            ],
            mounts=mounts,
            volumes=volumes,
            inputs=[args.client_secret.checksum, args.ca],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[ca] if ca else None),
        )
        self.register_outputs({})
