"""EC2."""

import ipaddress
from collections.abc import Iterator

from tests.engine.simulator.rules.rule import (
    Inputs,
    between,
    exactly_one,
    network,
    one_of,
    pattern,
    rule,
)
from tests.engine.simulator.schema import Refusal

_EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
_VPC = "https://docs.aws.amazon.com/vpc/latest/userguide/"
_GATEWAY = "https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html"
_RULES = (
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
_ALL_PROTOCOLS = "-1"
_WITH_PORTS = ("tcp", "udp", "6", "17")


@rule("aws:ec2/vpc:Vpc", source=f"{_VPC}vpc-cidr-blocks.html")
def vpc_block(inputs: Inputs) -> Iterator[Refusal]:
    yield from network("cidrBlock", inputs.get("cidrBlock"), 16, 28)


@rule("aws:ec2/subnet:Subnet", source=f"{_VPC}subnet-sizing.html")
def subnet_block(inputs: Inputs) -> Iterator[Refusal]:
    yield from network("cidrBlock", inputs.get("cidrBlock"), 16, 28)


@rule("aws:ec2/subnet:Subnet", source=f"{_EC2}API_CreateSubnet.html")
def subnet_zone(inputs: Inputs) -> Iterator[Refusal]:
    zone = inputs.get("availabilityZone")
    yield from pattern(
        "availabilityZone", zone, r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "such as eu-west-1a"
    )


@rule("aws:ec2/route:Route", source=f"{_EC2}API_CreateRoute.html")
def route_destination(inputs: Inputs) -> Iterator[Refusal]:
    names = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
    yield from exactly_one(inputs, *names)


@rule("aws:ec2/route:Route", source=f"{_EC2}API_CreateRoute.html")
def route_destination_block(inputs: Inputs) -> Iterator[Refusal]:
    yield from network("destinationCidrBlock", inputs.get("destinationCidrBlock"))


@rule("aws:ec2/route:Route", source=f"{_EC2}API_CreateRoute.html")
def route_target(inputs: Inputs) -> Iterator[Refusal]:
    names = (
        "gatewayId",
        "natGatewayId",
        "networkInterfaceId",
        "transitGatewayId",
        "vpcEndpointId",
        "vpcPeeringConnectionId",
        "egressOnlyGatewayId",
        "carrierGatewayId",
        "coreNetworkArn",
        "localGatewayId",
    )
    yield from exactly_one(inputs, *names)


@rule("aws:ec2/natGateway:NatGateway", source=f"{_EC2}API_CreateNatGateway.html")
def nat_address(inputs: Inputs) -> Iterator[Refusal]:
    public = inputs.get("connectivityType", "public") == "public"
    if public and inputs.get("allocationId") is None:
        yield Refusal("allocationId", "is required for a public NAT gateway")


@rule("aws:ec2/vpcEndpoint:VpcEndpoint", source=f"{_EC2}API_CreateVpcEndpoint.html")
def endpoint_service(inputs: Inputs) -> Iterator[Refusal]:
    service = inputs.get("serviceName")
    regex = r"(aws\.sagemaker|com\.amazonaws|com\.amazonaws\.vpce)\.[a-z0-9-]+(\.[a-z0-9.-]+)+"
    yield from pattern("serviceName", service, regex, "such as com.amazonaws.eu-west-1.s3")


@rule("aws:ec2/vpcEndpoint:VpcEndpoint", source=f"{_EC2}API_CreateVpcEndpoint.html")
def endpoint_type(inputs: Inputs) -> Iterator[Refusal]:
    kinds = ("Gateway", "Interface", "GatewayLoadBalancer", "Resource", "ServiceNetwork")
    yield from one_of("vpcEndpointType", inputs.get("vpcEndpointType"), kinds)


@rule("aws:ec2/vpcEndpoint:VpcEndpoint", source=_GATEWAY)
def gateway_endpoint_has_no_subnets(inputs: Inputs) -> Iterator[Refusal]:
    if inputs.get("vpcEndpointType", "Gateway") == "Gateway" and inputs.get("subnetIds"):
        yield Refusal("subnetIds", "a gateway endpoint takes route tables, not subnets")


@rule("aws:ec2/vpcEndpoint:VpcEndpoint", source=f"{_EC2}API_CreateVpcEndpoint.html")
def only_gateway_endpoints_have_routes(inputs: Inputs) -> Iterator[Refusal]:
    if inputs.get("vpcEndpointType") == "Interface" and inputs.get("routeTableIds"):
        yield Refusal("routeTableIds", "an interface endpoint takes subnets, not route tables")


@rule("aws:ec2/securityGroup:SecurityGroup", source=f"{_EC2}API_CreateSecurityGroup.html")
def group_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"(?!sg-)[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
    yield from pattern(
        "name", inputs.get("name"), regex, "up to 255 characters, without sg- in front"
    )


@rule("aws:ec2/securityGroup:SecurityGroup", source=f"{_EC2}API_CreateSecurityGroup.html")
def group_description(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
    yield from pattern(
        "description", inputs.get("description"), regex, "up to 255 plain characters"
    )


@rule(*_RULES, source=f"{_EC2}API_AuthorizeSecurityGroupIngress.html")
def rule_source(inputs: Inputs) -> Iterator[Refusal]:
    names = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    yield from exactly_one(inputs, *names)


@rule(*_RULES, source=f"{_EC2}API_IpRange.html")
def rule_block(inputs: Inputs) -> Iterator[Refusal]:
    yield from network("cidrIpv4", inputs.get("cidrIpv4"))


@rule(*_RULES, source=f"{_EC2}API_Ipv6Range.html")
def rule_block_of_ipv6(inputs: Inputs) -> Iterator[Refusal]:
    block = inputs.get("cidrIpv6")
    if not isinstance(block, str):
        return
    try:
        ipaddress.IPv6Network(block)
    except ValueError as bad:
        yield Refusal("cidrIpv6", f"should be an IPv6 CIDR block ({bad})")


@rule(*_RULES, source=f"{_EC2}API_IpPermission.html")
def rule_protocol(inputs: Inputs) -> Iterator[Refusal]:
    protocol = inputs.get("ipProtocol")
    regex = r"-1|tcp|udp|icmp|icmpv6|1?\d{1,2}|2[0-4]\d|25[0-5]"
    yield from pattern("ipProtocol", protocol, regex, "tcp, udp, icmp, icmpv6, 0 to 255 or -1")


@rule(*_RULES, source=f"{_EC2}API_IpPermission.html")
def rule_has_ports(inputs: Inputs) -> Iterator[Refusal]:
    for name in ("fromPort", "toPort"):
        if inputs.get("ipProtocol") in _WITH_PORTS and inputs.get(name) is None:
            yield Refusal(name, "is required for tcp and udp")


@rule(*_RULES, source=f"{_EC2}API_IpPermission.html")
def rule_ports_exist(inputs: Inputs) -> Iterator[Refusal]:
    # Of ICMP they are type and code, and -1 is every one.
    low = 0 if inputs.get("ipProtocol") in _WITH_PORTS else -1
    for name in ("fromPort", "toPort"):
        yield from between(name, inputs.get(name), low, 65535)


@rule(*_RULES, source=f"{_EC2}API_IpPermission.html")
def rule_ports_in_order(inputs: Inputs) -> Iterator[Refusal]:
    low, high = inputs.get("fromPort"), inputs.get("toPort")
    ports = inputs.get("ipProtocol") in _WITH_PORTS
    if ports and isinstance(low, int) and isinstance(high, int) and low > high:
        yield Refusal("fromPort", f"should not be above toPort, got {low} and {high}")


@rule(*_RULES, source=f"{_EC2}API_IpPermission.html")
def rule_of_all_protocols_has_no_ports(inputs: Inputs) -> Iterator[Refusal]:
    ports = [inputs.get(name) for name in ("fromPort", "toPort")]
    if inputs.get("ipProtocol") == _ALL_PROTOCOLS and any(
        isinstance(p, int) and p != -1 for p in ports
    ):
        yield Refusal(
            "ipProtocol", "-1 is every protocol and every port; leave fromPort and toPort out"
        )
