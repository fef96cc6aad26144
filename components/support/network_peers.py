"""Peers of a NetworkPolicy."""

from collections.abc import Mapping

import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta import v1 as meta

from components.kubernetes.namespace import PODS_OF_AIRFLOW

Peer = k8s.networking.v1.NetworkPolicyPeerArgs


def pods(labels: Mapping[str, str] | None = None, *, namespace: str | None = None) -> Peer:
    """Pods with these labels (default: all) in `namespace` (default: the policy's own)."""
    return k8s.networking.v1.NetworkPolicyPeerArgs(
        namespace_selector=meta.LabelSelectorArgs(
            match_labels={"kubernetes.io/metadata.name": namespace}
        )
        if namespace
        else None,
        pod_selector=meta.LabelSelectorArgs(match_labels=labels) if labels else None,
    )


def address_range(cidr: str) -> Peer:
    return k8s.networking.v1.NetworkPolicyPeerArgs(
        ip_block=k8s.networking.v1.IPBlockArgs(cidr=cidr)
    )


def airflow_pods() -> Peer:
    return pods(PODS_OF_AIRFLOW)


def monitoring(labels: Mapping[str, str] | None = None) -> Peer:
    """Pods that scrape metrics: those in the namespace `monitoring`."""
    return pods(labels, namespace="monitoring")
