"""A volume that outlives its pods."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta


def volume_claim(
    logical_name: str,
    *,
    name: str,
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    storage_gb: int,
    storage_class: str | None,
    protect: bool,
    parent: pulumi.Resource,
) -> core.PersistentVolumeClaimVolumeSourceArgs:
    """Claim a volume, which the pods of one node can mount at a time.

    `storage_class`: of a new volume; None: the default class of the cluster.
    """
    claim = core.PersistentVolumeClaim(
        logical_name,
        metadata=meta.ObjectMetaArgs(
            name=name,
            namespace=namespace,
            labels=labels,
            # The claim is bound only once its pod exists, and the pod depends on the claim.
            annotations={"pulumi.com/skipAwait": "true"},
        ),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage_class,
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{storage_gb}Gi"}),
        ),
        opts=pulumi.ResourceOptions(
            parent=parent,
            protect=protect,
            # Immutable: a change would replace the volume, with its data.
            ignore_changes=["spec.storageClassName"],
        ),
    )
    return core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
