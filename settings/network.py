"""Section `network`: the VPC of an EKS stack."""

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

from settings.limits import PRIVATE_PREFIX, VPC_PREFIX
from settings.types import Cidr, Section


class NetworkSettings(Section):
    cidr: Cidr = Field(default="10.0.0.0/16", description="Address range of the VPC")
    az_count: int = Field(default=2, ge=2, le=3, description="Availability zones")
    nat: Literal["single", "per_az"] = Field(
        default="single",
        description="NAT gateways: `single` is cheaper, `per_az` survives a zone failure",
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
