"""Job that checks the cluster before Airflow is changed: its failure ends the update."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import PART_OF
from components.support.hardened_pod import (
    container_security,
    input_digest,
    pod_security,
    resources,
)
from components.support.pull_secret import references

USER_ID = 50000  # `airflow` in the Airflow image
MEMORY_MB = 128
# A new node, and the image.
WAIT_SECONDS = 600


def check_job(
    name: str,
    *,
    namespace: pulumi.Input[str],
    component: str,
    image: str,
    script: Path,
    pull_secret: pulumi.Input[str] | None,
    env: Sequence[core.EnvVarArgs] | None = None,
    mounts: Sequence[core.VolumeMountArgs] | None = None,
    volumes: Sequence[core.VolumeArgs] | None = None,
    inputs: Sequence[Any] = (),
    opts: pulumi.ResourceOptions,
) -> k8s.batch.v1.Job:
    """A Job that runs a Python script, again if its pod or other inputs change.

    `component` is the label by which `make up` finds the reason of a failure.
    """
    container = core.ContainerArgs(
        name=component,
        image=image,
        image_pull_policy="IfNotPresent",
        command=["python", "-c", script.read_text()],
        env=env,
        resources=resources(MEMORY_MB),
        security_context=container_security(),
        volume_mounts=mounts,
    )
    pod = core.PodSpecArgs(
        restart_policy="Never",
        automount_service_account_token=False,
        enable_service_links=False,
        image_pull_secrets=references(pull_secret),
        security_context=pod_security(user_id=USER_ID, group_id=0),
        containers=[container],
        volumes=volumes,
    )
    labels = {**PART_OF, "component": component}
    wait = f"{WAIT_SECONDS}s"
    # The former Job has the name of the next one if a change is taken back.
    job_opts = pulumi.ResourceOptions(
        delete_before_replace=True,
        custom_timeouts=pulumi.CustomTimeouts(create=wait, update=wait),
    )
    return k8s.batch.v1.Job(
        f"{name}-job",
        metadata=meta.ObjectMetaArgs(
            name=pulumi.Output.concat(name, "-", input_digest(pod, *inputs)),
            namespace=namespace,
            labels=labels,
        ),
        spec=k8s.batch.v1.JobSpecArgs(
            active_deadline_seconds=WAIT_SECONDS,
            backoff_limit=0,
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=labels), spec=pod
            ),
        ),
        opts=pulumi.ResourceOptions.merge(job_opts, opts),
    )
