"""Section `proxy`: the way of the pods to hosts outside of the cluster."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from settings.types import Section

# A host of its own: the API server of the cluster, which only Kubernetes knows.
# https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
API_SERVER = "$(KUBERNETES_SERVICE_HOST)"
# The Service of Airflow's API server is the only one that Airflow's pods call without a domain.
IN_CLUSTER = ("localhost", "127.0.0.1", ".svc", ".cluster.local", "airflow-api-server", API_SERVER)
# Instance metadata, and the agent of EKS Pod Identity:
# https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
ON_NODE = ("169.254.169.254", "169.254.170.23")
_URL = r"^https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$"
_DIRECT = r"^\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]{1,5}|/[0-9]{1,2})?$"
# Upper and lower case: curl, and with it Git, reads only the second of `HTTP_PROXY` and `http_proxy`.
NAMES = tuple(
    case for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for case in (name, name.lower())
)


def _proxy_url(value: str) -> str:
    if "@" in value:
        raise ValueError(
            "must not contain credentials: everyone who may read a pod could read them; admit the pods "
            "at the proxy by their network, or name a proxy that logs in to this one"
        )
    if not re.fullmatch(_URL, value):
        raise ValueError(
            "should be a URL of scheme, host and port, such as http://proxy.example.com:3128"
        )
    return value


def _direct(value: str) -> str:
    if not re.fullmatch(_DIRECT, value):
        raise ValueError(
            "should be a host, a domain such as .example.com, an address or an IPv4 network such as "
            "10.244.0.0/16"
        )
    return value


ProxyUrl = Annotated[
    str,
    AfterValidator(_proxy_url),
    Field(title="URL with a port", json_schema_extra={"pattern": _URL}),
]
Direct = Annotated[
    str,
    AfterValidator(_direct),
    Field(title="host, `.domain`, address or network", json_schema_extra={"pattern": _DIRECT}),
]


class ProxySettings(Section):
    """Proxy for requests of the DAG relay, Airflow and its tasks to hosts outside of the cluster"""

    http: ProxyUrl | None = Field(default=None, description="Proxy for URLs `http://`")
    https: ProxyUrl | None = Field(default=None, description="Proxy for URLs `https://`")
    no_proxy: tuple[Direct, ...] = Field(
        default=(),
        description="Hosts and networks without the proxy, beside those of the cluster and, on EKS, of "
        "the VPC (docs/clusters.md)",
        strict=False,
    )

    @model_validator(mode="after")
    def _has_a_proxy(self) -> "ProxySettings":
        if self.no_proxy and not self.is_set:
            raise ValueError("no_proxy needs http or https")
        return self

    @property
    def is_set(self) -> bool:
        return bool(self.http or self.https)

    def variables(self, networks: Sequence[str]) -> dict[str, str]:
        """Environment variables of a container; `networks` of the platform need no proxy."""
        if not self.is_set:
            return {}
        direct = ",".join([*IN_CLUSTER, *networks, *self.no_proxy])
        values = [value for value in (self.http, self.https, direct) for _ in ("upper", "lower")]
        return {name: value for name, value in zip(NAMES, values, strict=True) if value}
