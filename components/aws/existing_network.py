"""A VPC that this program uses and never changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from settings.network import ExistingNetworkSettings


@dataclass(frozen=True, kw_only=True)
class ExistingNetworkArgs:
    settings: ExistingNetworkSettings


class ExistingNetwork(pulumi.ComponentResource):
    """Subnets of the settings. `make up` checks them before it changes anything."""

    vpc_id: str
    public_subnet_ids: Sequence[str]
    private_subnet_ids: Sequence[str]
    # All address ranges of the VPC: load balancers have addresses in any of them.
    cidrs: Sequence[str]

    def __init__(
        self, name: str, args: ExistingNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:ExistingNetwork", name, None, opts)
        self.vpc_id = args.settings.vpc_id
        self.public_subnet_ids = args.settings.public_subnet_ids
        self.private_subnet_ids = args.settings.private_subnet_ids
        vpc = aws.ec2.get_vpc(id=self.vpc_id, opts=pulumi.InvokeOptions(parent=self))
        # A range that is being added or removed is in another state.
        self.cidrs = sorted(
            block.cidr_block for block in vpc.cidr_block_associations if block.state == "associated"
        )
        self.register_outputs({"vpc_id": self.vpc_id})
