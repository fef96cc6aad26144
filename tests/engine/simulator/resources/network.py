"""EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"""

from binascii import crc32
from typing import Any

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    idempotent,
    managed,
    pairs,
    present,
    tags_seen,
)


def _tagged(kind: str, inputs: Values) -> dict[str, Any]:
    tags = pairs(inputs.get("tagsAll"))
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def retag(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    """Update the tags of any EC2 resource."""
    before, after = old.get("tagsAll") or {}, new.get("tagsAll") or {}
    ec2 = cloud.client("ec2")
    removed = before.keys() - after.keys()
    if removed:
        ec2.delete_tags(Resources=[id_], Tags=[{"Key": key} for key in removed])
    if after:
        ec2.create_tags(Resources=[id_], Tags=pairs(after))
    return {"tagsAll": after}


# --- VPC and subnets

_VPC_FLAGS = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}


def _create_vpc(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    ec2 = cloud.client("ec2")
    names = {"cidrBlock": "CidrBlock", "instanceTenancy": "InstanceTenancy"}
    created = ec2.create_vpc(**chosen(inputs, names), **_tagged("vpc", inputs))["Vpc"]
    _set_vpc_flags(cloud, created["VpcId"], inputs)
    return created["VpcId"], _vpc_outputs(cloud, created)


def _set_vpc_flags(cloud: Cloud, id_: str, inputs: Values) -> None:
    for ours, theirs in _VPC_FLAGS.items():
        if ours in inputs:
            flag = {theirs: {"Value": inputs[ours]}}
            cloud.client("ec2").modify_vpc_attribute(VpcId=id_, **flag)


def _vpc_outputs(cloud: Cloud, vpc: dict[str, Any]) -> Values:
    ec2, id_ = cloud.client("ec2"), vpc["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [id_]}]
    (group,) = ec2.describe_security_groups(
        Filters=[*mine, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    main = [{"Name": "association.main", "Values": ["true"]}]
    (table,) = ec2.describe_route_tables(Filters=mine + main)["RouteTables"]
    return {
        "arn": _arn(cloud, f"vpc/{id_}"),
        "cidrBlock": vpc["CidrBlock"],
        "instanceTenancy": vpc.get("InstanceTenancy", "default"),
        "ownerId": cloud.account,
        "region": cloud.region,
        "defaultSecurityGroupId": group["GroupId"],
        "defaultRouteTableId": table["RouteTableId"],
        "mainRouteTableId": table["RouteTableId"],
    }


def _read_vpc(cloud: Cloud, id_: str, state: Values) -> Values:
    ec2 = cloud.client("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=[id_])["Vpcs"]
    flags = {
        ours: ec2.describe_vpc_attribute(VpcId=id_, Attribute=ours)[theirs]["Value"]
        for ours, theirs in _VPC_FLAGS.items()
        if ours in state
    }
    return {**_vpc_outputs(cloud, vpc), **flags, **tags_seen(vpc.get("Tags", []), state)}


def _update_vpc(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    _set_vpc_flags(cloud, id_, new)
    return retag(cloud, id_, old, new)


VPC = Resource(
    create=_create_vpc,
    read=present(_read_vpc),
    update=_update_vpc,
    delete=idempotent(lambda cloud, id_, _: cloud.client("ec2").delete_vpc(VpcId=id_)),
    replaces=frozenset({"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
)


def _create_subnet(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {"vpcId": "VpcId", "cidrBlock": "CidrBlock", "availabilityZone": "AvailabilityZone"}
    ec2 = cloud.client("ec2")
    created = ec2.create_subnet(**chosen(inputs, names), **_tagged("subnet", inputs))["Subnet"]
    _set_public(cloud, created["SubnetId"], inputs)
    return created["SubnetId"], _subnet_outputs(cloud, created)


def _set_public(cloud: Cloud, id_: str, inputs: Values) -> None:
    if "mapPublicIpOnLaunch" in inputs:
        flag = {"Value": inputs["mapPublicIpOnLaunch"]}
        cloud.client("ec2").modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch=flag)


def _subnet_outputs(cloud: Cloud, subnet: dict[str, Any]) -> Values:
    return {
        "arn": _arn(cloud, f"subnet/{subnet['SubnetId']}"),
        "vpcId": subnet["VpcId"],
        "cidrBlock": subnet["CidrBlock"],
        "availabilityZone": subnet["AvailabilityZone"],
        "availabilityZoneId": subnet.get("AvailabilityZoneId"),
        "mapPublicIpOnLaunch": subnet.get("MapPublicIpOnLaunch", False),
        "ownerId": cloud.account,
        "region": cloud.region,
    }


def _read_subnet(cloud: Cloud, id_: str, state: Values) -> Values:
    (subnet,) = cloud.client("ec2").describe_subnets(SubnetIds=[id_])["Subnets"]
    return {**_subnet_outputs(cloud, subnet), **tags_seen(subnet.get("Tags", []), state)}


def _update_subnet(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    _set_public(cloud, id_, new)
    return retag(cloud, id_, old, new)


SUBNET = Resource(
    create=_create_subnet,
    read=present(_read_subnet),
    update=_update_subnet,
    delete=idempotent(lambda cloud, id_, _: cloud.client("ec2").delete_subnet(SubnetId=id_)),
    replaces=frozenset({"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"}),
)

# --- gateways and addresses


def _create_gateway(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    ec2 = cloud.client("ec2")
    created = ec2.create_internet_gateway(**_tagged("internet-gateway", inputs))["InternetGateway"]
    id_ = created["InternetGatewayId"]
    if inputs.get("vpcId"):
        ec2.attach_internet_gateway(InternetGatewayId=id_, VpcId=inputs["vpcId"])
    return id_, {"arn": _arn(cloud, f"internet-gateway/{id_}"), "ownerId": cloud.account}


def _read_gateway(cloud: Cloud, id_: str, state: Values) -> Values:
    answer = cloud.client("ec2").describe_internet_gateways(InternetGatewayIds=[id_])
    (gateway,) = answer["InternetGateways"]
    attached = [a["VpcId"] for a in gateway["Attachments"]]
    return {
        "vpcId": attached[0] if attached else "",
        **tags_seen(gateway.get("Tags", []), state),
    }


def _update_gateway(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    ec2 = cloud.client("ec2")
    if old.get("vpcId") != new.get("vpcId"):
        if old.get("vpcId"):
            ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=old["vpcId"])
        if new.get("vpcId"):
            ec2.attach_internet_gateway(InternetGatewayId=id_, VpcId=new["vpcId"])
    return retag(cloud, id_, old, new)


def _delete_gateway(cloud: Cloud, id_: str, state: Values) -> None:
    ec2 = cloud.client("ec2")
    answer = ec2.describe_internet_gateways(InternetGatewayIds=[id_])
    for attachment in answer["InternetGateways"][0]["Attachments"]:
        ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=attachment["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=id_)


INTERNET_GATEWAY = Resource(
    create=_create_gateway,
    read=present(_read_gateway),
    update=_update_gateway,
    delete=idempotent(_delete_gateway),
)


def _create_address(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("ec2").allocate_address(Domain="vpc", **_tagged("elastic-ip", inputs))
    return created["AllocationId"], _address_outputs(cloud, created)


def _address_outputs(cloud: Cloud, address: dict[str, Any]) -> Values:
    return {
        "allocationId": address["AllocationId"],
        "arn": _arn(cloud, f"elastic-ip/{address['AllocationId']}"),
        "publicIp": address["PublicIp"],
        "domain": address["Domain"],
    }


def _read_address(cloud: Cloud, id_: str, state: Values) -> Values:
    (found,) = cloud.client("ec2").describe_addresses(AllocationIds=[id_])["Addresses"]
    return {**_address_outputs(cloud, found), **tags_seen(found.get("Tags", []), state)}


ADDRESS = Resource(
    create=_create_address,
    read=present(_read_address),
    update=retag,
    delete=idempotent(lambda cloud, id_, _: cloud.client("ec2").release_address(AllocationId=id_)),
    replaces=frozenset({"domain", "publicIpv4Pool", "address"}),
)


def _create_nat(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {
        "subnetId": "SubnetId",
        "allocationId": "AllocationId",
        "connectivityType": "ConnectivityType",
    }
    ec2 = cloud.client("ec2")
    created = ec2.create_nat_gateway(**chosen(inputs, names), **_tagged("natgateway", inputs))
    return created["NatGateway"]["NatGatewayId"], _nat_outputs(created["NatGateway"])


def _nat_outputs(nat: dict[str, Any]) -> Values:
    (address, *_) = nat.get("NatGatewayAddresses") or [{}]
    return {
        "subnetId": nat["SubnetId"],
        "allocationId": address.get("AllocationId"),
        "publicIp": address.get("PublicIp"),
        "privateIp": address.get("PrivateIp"),
        "networkInterfaceId": address.get("NetworkInterfaceId"),
        "connectivityType": nat.get("ConnectivityType", "public"),
    }


def _read_nat(cloud: Cloud, id_: str, state: Values) -> Values | None:
    found = cloud.client("ec2").describe_nat_gateways(NatGatewayIds=[id_])["NatGateways"]
    alive = [nat for nat in found if nat["State"] not in ("deleted", "deleting")]
    if not alive:
        return None
    return {**_nat_outputs(alive[0]), **tags_seen(alive[0].get("Tags", []), state)}


NAT_GATEWAY = Resource(
    create=_create_nat,
    read=present(_read_nat),
    update=retag,
    delete=idempotent(
        lambda cloud, id_, _: cloud.client("ec2").delete_nat_gateway(NatGatewayId=id_)
    ),
    replaces=frozenset({"subnetId", "allocationId", "connectivityType", "privateIp"}),
)

# --- routes


def _create_table(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    ec2 = cloud.client("ec2")
    created = ec2.create_route_table(VpcId=inputs["vpcId"], **_tagged("route-table", inputs))
    id_ = created["RouteTable"]["RouteTableId"]
    return id_, {"arn": _arn(cloud, f"route-table/{id_}"), "ownerId": cloud.account}


def _read_table(cloud: Cloud, id_: str, state: Values) -> Values:
    (table,) = cloud.client("ec2").describe_route_tables(RouteTableIds=[id_])["RouteTables"]
    return {"vpcId": table["VpcId"], **tags_seen(table.get("Tags", []), state)}


ROUTE_TABLE = Resource(
    create=_create_table,
    read=present(_read_table),
    update=retag,
    delete=idempotent(
        lambda cloud, id_, _: cloud.client("ec2").delete_route_table(RouteTableId=id_)
    ),
    replaces=frozenset({"vpcId"}),
)

_ROUTE = {
    "routeTableId": "RouteTableId",
    "destinationCidrBlock": "DestinationCidrBlock",
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
}


def _create_route(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    cloud.client("ec2").create_route(**chosen(inputs, _ROUTE))
    # The ID of the official provider: Go's String hash of the destination.
    hashed = crc32(inputs["destinationCidrBlock"].encode())
    return f"r-{inputs['routeTableId']}{hashed}", {"origin": "CreateRoute", "state": "active"}


def _read_route(cloud: Cloud, id_: str, state: Values) -> Values | None:
    answer = cloud.client("ec2").describe_route_tables(RouteTableIds=[state["routeTableId"]])
    for route in answer["RouteTables"][0]["Routes"]:
        if route.get("DestinationCidrBlock") == state["destinationCidrBlock"]:
            seen = {ours: route.get(theirs) for ours, theirs in _ROUTE.items() if theirs in route}
            return {**managed(state, seen), "state": route["State"], "origin": "CreateRoute"}
    return None


def _update_route(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    cloud.client("ec2").replace_route(**chosen(new, _ROUTE))
    return {}


def _delete_route(cloud: Cloud, id_: str, state: Values) -> None:
    cloud.client("ec2").delete_route(
        RouteTableId=state["routeTableId"], DestinationCidrBlock=state["destinationCidrBlock"]
    )


ROUTE = Resource(
    create=_create_route,
    read=present(_read_route),
    update=_update_route,
    delete=idempotent(_delete_route),
    replaces=frozenset({"routeTableId", "destinationCidrBlock"}),
)


def _create_association(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("ec2").associate_route_table(
        RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"]
    )
    return created["AssociationId"], {}


def _read_association(cloud: Cloud, id_: str, state: Values) -> Values | None:
    mine = [{"Name": "association.route-table-association-id", "Values": [id_]}]
    for table in cloud.client("ec2").describe_route_tables(Filters=mine)["RouteTables"]:
        for association in table["Associations"]:
            if association["RouteTableAssociationId"] == id_:
                return {"routeTableId": table["RouteTableId"], "subnetId": association["SubnetId"]}
    return None


ROUTE_TABLE_ASSOCIATION = Resource(
    create=_create_association,
    read=present(_read_association),
    delete=idempotent(
        lambda cloud, id_, _: cloud.client("ec2").disassociate_route_table(AssociationId=id_)
    ),
    replaces=frozenset({"routeTableId", "subnetId"}),
)


def _create_endpoint(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    names = {
        "vpcId": "VpcId",
        "serviceName": "ServiceName",
        "vpcEndpointType": "VpcEndpointType",
        "routeTableIds": "RouteTableIds",
        "subnetIds": "SubnetIds",
    }
    ec2 = cloud.client("ec2")
    created = ec2.create_vpc_endpoint(**chosen(inputs, names), **_tagged("vpc-endpoint", inputs))
    id_ = created["VpcEndpoint"]["VpcEndpointId"]
    outputs = {"arn": _arn(cloud, f"vpc-endpoint/{id_}"), "ownerId": cloud.account}
    return id_, {**outputs, "state": "available"}


def _read_endpoint(cloud: Cloud, id_: str, state: Values) -> Values | None:
    (found,) = cloud.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[id_])["VpcEndpoints"]
    if found["State"].lower() == "deleted":
        return None
    tables = found.get("RouteTableIds", [])
    # A set: keep the order of the state if the members are equal.
    known = state.get("routeTableIds", [])
    seen = {
        "vpcId": found["VpcId"],
        "serviceName": found["ServiceName"],
        "routeTableIds": known if set(known) == set(tables) else tables,
    }
    return {**managed(state, seen), **tags_seen(found.get("Tags", []), state)}


def _update_endpoint(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    before, after = set(old.get("routeTableIds", [])), set(new.get("routeTableIds", []))
    change = {"AddRouteTableIds": after - before, "RemoveRouteTableIds": before - after}
    change = {key: sorted(ids) for key, ids in change.items() if ids}
    if change:
        cloud.client("ec2").modify_vpc_endpoint(VpcEndpointId=id_, **change)
    return retag(cloud, id_, old, new)


ENDPOINT = Resource(
    create=_create_endpoint,
    read=present(_read_endpoint),
    update=_update_endpoint,
    delete=idempotent(
        lambda cloud, id_, _: cloud.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[id_])
    ),
    replaces=frozenset({"vpcId", "serviceName", "vpcEndpointType"}),
)


def _arn(cloud: Cloud, what: str) -> str:
    return f"arn:aws:ec2:{cloud.region}:{cloud.account}:{what}"


RESOURCES = {
    "aws:ec2/vpc:Vpc": VPC,
    "aws:ec2/subnet:Subnet": SUBNET,
    "aws:ec2/internetGateway:InternetGateway": INTERNET_GATEWAY,
    "aws:ec2/eip:Eip": ADDRESS,
    "aws:ec2/natGateway:NatGateway": NAT_GATEWAY,
    "aws:ec2/routeTable:RouteTable": ROUTE_TABLE,
    "aws:ec2/route:Route": ROUTE,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ROUTE_TABLE_ASSOCIATION,
    "aws:ec2/vpcEndpoint:VpcEndpoint": ENDPOINT,
}
