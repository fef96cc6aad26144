"""The VPC: public subnets for load balancers and NAT, private ones for everything else."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pulumi
import pulumi_aws as aws

from components.aws.flow_logs import FlowLogs, FlowLogsArgs
from settings.limits import EKS_REFUSES_ZONES, PRIVATE_PREFIX
from settings.network import NetworkSettings
from settings.types import ANYWHERE

PUBLIC_PREFIX = 24


class ZoneSubnets(NamedTuple):
    """CIDR blocks of one availability zone."""

    public: str
    private: str


def zone_subnets(cidr: str, az_count: int) -> list[ZoneSubnets]:
    """Split the VPC: the first block for the public subnets, one block per private subnet."""
    first, *blocks = ipaddress.IPv4Network(cidr).subnets(new_prefix=PRIVATE_PREFIX)
    public = first.subnets(new_prefix=PUBLIC_PREFIX)
    return [
        ZoneSubnets(public=str(small), private=str(large))
        for small, large in zip(public, blocks[:az_count], strict=False)
    ]


def usable_zones(az_count: int, opts: pulumi.InvokeOptions) -> list[str]:
    """Names of the first zones of the Region that EKS accepts.

    A name means another zone in each account; only the ID is the same in all of them:
    https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html
    """
    found = aws.get_availability_zones(
        state="available",
        # Local and Wavelength Zones support neither EKS nor NAT.
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        opts=opts,
    )
    zones = dict(sorted(zip(found.names, found.zone_ids, strict=True)))
    usable = [name for name, id_ in zones.items() if id_ not in EKS_REFUSES_ZONES]
    if len(usable) < az_count:
        refused = [f"{name} ({id_})" for name, id_ in zones.items() if name not in usable]
        without = f", without {', '.join(refused)}, which EKS refuses" if refused else ""
        advice = f"set it to {len(usable)}, or use" if len(usable) > 1 else "use"
        raise pulumi.RunError(
            f"Pulumi.{pulumi.get_stack()}.yaml:\n"
            f"  {pulumi.get_project()}:settings.network.az_count: should be at most {len(usable)}, the "
            f"number of zones of {found.id} that EKS accepts ({', '.join(usable)}{without}), got "
            f"{az_count}; {advice} another Region"
        )
    return usable[:az_count]


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    settings: NetworkSettings


class Network(pulumi.ComponentResource):
    """VPC whose private subnets reach the internet through NAT and S3 through an endpoint.

    Every resource has a `Name` tag, by which `make up` finds resources of an interrupted command.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    cidrs: Sequence[str]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.settings.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=child,
        )
        # AWS creates it with rules that admit its members; here it has none.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, opts=child)
        gateway = aws.ec2.InternetGateway(
            f"{name}-gateway", vpc_id=vpc.id, tags={"Name": f"{name}-gateway"}, opts=child
        )
        public_routes = aws.ec2.RouteTable(
            f"{name}-public", vpc_id=vpc.id, tags={"Name": f"{name}-public"}, opts=child
        )
        aws.ec2.Route(
            f"{name}-public",
            route_table_id=public_routes.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=child,
        )
        zones = usable_zones(args.settings.az_count, pulumi.InvokeOptions(parent=self))

        self.vpc_id = vpc.id
        self.cidrs = [args.settings.cidr]
        self.public_subnet_ids = []
        self.private_subnet_ids = []
        private_route_table_ids: list[pulumi.Output[str]] = []
        nat_id: pulumi.Output[str] | None = None
        subnets = zone_subnets(args.settings.cidr, args.settings.az_count)
        for index, (zone, cidr) in enumerate(zip(zones, subnets, strict=True)):
            public = aws.ec2.Subnet(
                f"{name}-public-{index}",
                vpc_id=vpc.id,
                cidr_block=cidr.public,
                availability_zone=zone,
                tags={"Name": f"{name}-public-{index}", "kubernetes.io/role/elb": "1"},
                opts=child,
            )
            aws.ec2.RouteTableAssociation(
                f"{name}-public-{index}",
                subnet_id=public.id,
                route_table_id=public_routes.id,
                opts=child,
            )
            if nat_id is None or args.settings.nat == "per_az":
                address = aws.ec2.Eip(
                    f"{name}-nat-{index}",
                    domain="vpc",
                    tags={"Name": f"{name}-nat-{index}"},
                    opts=child,
                )
                nat_id = aws.ec2.NatGateway(
                    f"{name}-nat-{index}",
                    subnet_id=public.id,
                    allocation_id=address.id,
                    tags={"Name": f"{name}-nat-{index}"},
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
                ).id
            private = aws.ec2.Subnet(
                f"{name}-private-{index}",
                vpc_id=vpc.id,
                cidr_block=cidr.private,
                availability_zone=zone,
                tags={"Name": f"{name}-private-{index}", "kubernetes.io/role/internal-elb": "1"},
                opts=child,
            )
            routes = aws.ec2.RouteTable(
                f"{name}-private-{index}",
                vpc_id=vpc.id,
                tags={"Name": f"{name}-private-{index}"},
                opts=child,
            )
            aws.ec2.Route(
                f"{name}-private-{index}",
                route_table_id=routes.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=nat_id,
                opts=child,
            )
            aws.ec2.RouteTableAssociation(
                f"{name}-private-{index}",
                subnet_id=private.id,
                route_table_id=routes.id,
                opts=child,
            )
            self.public_subnet_ids.append(public.id)
            self.private_subnet_ids.append(private.id)
            private_route_table_ids.append(routes.id)
        # Task logs and image layers use S3; NAT charges for each gigabyte.
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=pulumi.Output.format("com.amazonaws.{}.s3", vpc.region),
            vpc_endpoint_type="Gateway",
            route_table_ids=private_route_table_ids,
            tags={"Name": f"{name}-s3"},
            opts=child,
        )
        if args.settings.flow_log_days is not None:
            FlowLogs(
                f"{name}-flow-logs",
                FlowLogsArgs(vpc_id=vpc.id, retention_days=args.settings.flow_log_days),
                opts=child,
            )
        self.register_outputs({"vpc_id": self.vpc_id})
