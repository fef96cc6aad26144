"""Section `network`: a new VPC, or an existing one."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from settings.limits import PRIVATE_PREFIX, VPC_PREFIX
from settings.types import Cidr, Section, SubnetId, VpcId


class NetworkSettings(Section):
    kind: Literal["new"] = "new"
    cidr: Cidr = Field(default="10.0.0.0/16", description="Address range of the VPC")
    az_count: int = Field(default=2, ge=2, le=3, description="Availability zones")
    nat: Literal["single", "per_az"] = Field(
        default="single",
        description="NAT gateways: `single` is cheaper, `per_az` survives a zone failure",
    )
    flow_log_days: int | None = Field(
        default=None,
        ge=1,
        le=3653,
        description="Retention of the VPC flow log of rejected connections; not set: no flow log",
    )

    @model_validator(mode="after")
    def _subnets_fit(self) -> "NetworkSettings":
        prefix = ipaddress.IPv4Network(self.cidr).prefixlen
        blocks = 2 ** max(0, PRIVATE_PREFIX - prefix)
        if prefix < VPC_PREFIX or blocks < 1 + self.az_count:
            raise ValueError(
                f"cidr {self.cidr} should be /{VPC_PREFIX} to /{PRIVATE_PREFIX - 2}, to contain "
                f"{self.az_count} private subnets of /{PRIVATE_PREFIX} and one more block for public subnets"
            )
        return self


class ExistingNetworkSettings(Section):
    kind: Literal["existing"]
    vpc_id: VpcId = Field(description="VPC that the program uses and never changes")
    private_subnet_ids: tuple[SubnetId, ...] = Field(
        min_length=2,
        description="Subnets in two or more zones for nodes, the database and an internal load balancer",
        strict=False,
    )
    public_subnet_ids: tuple[SubnetId, ...] = Field(
        default=(),
        description="Subnets in two or more zones for an internet-facing load balancer",
        strict=False,
    )

    @model_validator(mode="after")
    def _each_subnet_once(self) -> "ExistingNetworkSettings":
        ids = [*self.private_subnet_ids, *self.public_subnet_ids]
        repeated = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if repeated:
            raise ValueError(
                "private_subnet_ids and public_subnet_ids should list each subnet once, got "
                f"{', '.join(repeated)} twice"
            )
        return self


def with_kind(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a stack with the default of `network.kind`: pydantic requires a `kind`."""
    network = settings.get("network")
    if not isinstance(network, dict):
        return dict(settings)
    return {**settings, "network": {"kind": "new", **network}}
