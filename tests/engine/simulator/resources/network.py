"""EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"""

from binascii import crc32
from collections.abc import Callable
from typing import Any

from botocore import xform_name

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources import kind
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    ordered,
    pairs,
    tags_seen,
)


def tagged(what: str, inputs: Values) -> dict[str, Any]:
    tags = pairs(inputs.get("tagsAll"))
    return {"TagSpecifications": [{"ResourceType": what, "Tags": tags}]} if tags else {}


def retag(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    """Update the tags of any EC2 resource."""
    ec2 = cloud.client("ec2")
    return kind.retag(
        old,
        new,
        lambda keys: ec2.delete_tags(Resources=[id_], Tags=[{"Key": key} for key in keys]),
        lambda tags: ec2.create_tags(Resources=[id_], Tags=pairs(tags)),
    )


def arn(cloud: Cloud, what: str) -> str:
    return f"arn:aws:ec2:{cloud.region}:{cloud.account}:{what}"


def _resource(
    noun: str,
    tag: str,
    names: dict[str, str],
    see: Callable[[Cloud, Values, Values], Values],
    *,
    configure: Callable[[Cloud, str, Values, Values], Any] | None = None,
    delete: Callable[[Cloud, str, Values], Any] | None = None,
    replaces: set[str] | None = None,
) -> Resource:
    """A type whose calls have its noun: Create<noun>, Describe<noun>s, Delete<noun>.

    `tag` is its type in tags, `names` the inputs of the creation. `see` gets a description and the
    state, empty for a new resource, and returns the outputs. `configure` gets the old inputs, empty
    for a new resource, and the new ones, and sets what the creation does not set.
    """
    call, key = xform_name(noun), f"{noun}Id"

    def create(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
        create = getattr(cloud.client("ec2"), f"create_{call}")
        found = create(**chosen(inputs, names), **tagged(tag, inputs))[noun]
        if configure:
            configure(cloud, found[key], {}, inputs)
        return found[key], see(cloud, found, {})

    def read(cloud: Cloud, id_: str, state: Values) -> Values | None:
        describe = getattr(cloud.client("ec2"), f"describe_{call}s")
        for found in describe(**{f"{key}s": [id_]})[f"{noun}s"]:
            if found.get("State", "").lower() not in ("deleted", "deleting"):
                return {**see(cloud, found, state), **tags_seen(found.get("Tags", []), state)}
        return None

    def update(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
        if configure:
            configure(cloud, id_, old, new)
        return retag(cloud, id_, old, new)

    def plain_delete(cloud: Cloud, id_: str, state: Values) -> None:
        getattr(cloud.client("ec2"), f"delete_{call}")(**{key: id_})

    return Resource(
        create=create,
        read=read,
        update=update,
        delete=delete or plain_delete,
        replaces=frozenset(replaces or ()),
    )


# --- VPC and subnets

_VPC_FLAGS = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}


def _configure_vpc(cloud: Cloud, id_: str, old: Values, new: Values) -> None:
    for ours, theirs in _VPC_FLAGS.items():
        if ours in new:
            cloud.client("ec2").modify_vpc_attribute(VpcId=id_, **{theirs: {"Value": new[ours]}})


def _see_vpc(cloud: Cloud, vpc: Values, state: Values) -> Values:
    ec2, id_ = cloud.client("ec2"), vpc["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [id_]}]
    (group,) = ec2.describe_security_groups(
        Filters=[*mine, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    main = [{"Name": "association.main", "Values": ["true"]}]
    (table,) = ec2.describe_route_tables(Filters=mine + main)["RouteTables"]
    flags = {
        ours: ec2.describe_vpc_attribute(VpcId=id_, Attribute=ours)[theirs]["Value"]
        for ours, theirs in _VPC_FLAGS.items()
        if ours in state
    }
    return {
        "arn": arn(cloud, f"vpc/{id_}"),
        "cidrBlock": vpc["CidrBlock"],
        "instanceTenancy": vpc.get("InstanceTenancy", "default"),
        "ownerId": cloud.account,
        "region": cloud.region,
        "defaultSecurityGroupId": group["GroupId"],
        "defaultRouteTableId": table["RouteTableId"],
        "mainRouteTableId": table["RouteTableId"],
        **flags,
    }


def _configure_subnet(cloud: Cloud, id_: str, old: Values, new: Values) -> None:
    if "mapPublicIpOnLaunch" in new:
        flag = {"Value": new["mapPublicIpOnLaunch"]}
        cloud.client("ec2").modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch=flag)


def _see_subnet(cloud: Cloud, subnet: Values, state: Values) -> Values:
    return {
        "arn": arn(cloud, f"subnet/{subnet['SubnetId']}"),
        "vpcId": subnet["VpcId"],
        "cidrBlock": subnet["CidrBlock"],
        "availabilityZone": subnet["AvailabilityZone"],
        "availabilityZoneId": subnet.get("AvailabilityZoneId"),
        "mapPublicIpOnLaunch": subnet.get("MapPublicIpOnLaunch", False),
        "ownerId": cloud.account,
        "region": cloud.region,
    }


# --- gateways and addresses


def _configure_gateway(cloud: Cloud, id_: str, old: Values, new: Values) -> None:
    ec2 = cloud.client("ec2")
    if old.get("vpcId") != new.get("vpcId"):
        if old.get("vpcId"):
            ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=old["vpcId"])
        if new.get("vpcId"):
            ec2.attach_internet_gateway(InternetGatewayId=id_, VpcId=new["vpcId"])


def _see_gateway(cloud: Cloud, gateway: Values, state: Values) -> Values:
    id_ = gateway["InternetGatewayId"]
    attached = [a["VpcId"] for a in gateway["Attachments"]]
    return {
        "arn": arn(cloud, f"internet-gateway/{id_}"),
        "ownerId": cloud.account,
        # A new gateway is attached after this description.
        **({"vpcId": "".join(attached)} if attached or state else {}),
    }


def _delete_gateway(cloud: Cloud, id_: str, state: Values) -> None:
    ec2 = cloud.client("ec2")
    answer = ec2.describe_internet_gateways(InternetGatewayIds=[id_])
    for attachment in answer["InternetGateways"][0]["Attachments"]:
        ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=attachment["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=id_)


def _create_address(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("ec2").allocate_address(Domain="vpc", **tagged("elastic-ip", inputs))
    return created["AllocationId"], _address_outputs(cloud, created)


def _address_outputs(cloud: Cloud, address: dict[str, Any]) -> Values:
    return {
        "allocationId": address["AllocationId"],
        "arn": arn(cloud, f"elastic-ip/{address['AllocationId']}"),
        "publicIp": address["PublicIp"],
        "domain": address["Domain"],
    }


def _read_address(cloud: Cloud, id_: str, state: Values) -> Values:
    (found,) = cloud.client("ec2").describe_addresses(AllocationIds=[id_])["Addresses"]
    return {**_address_outputs(cloud, found), **tags_seen(found.get("Tags", []), state)}


def _see_nat(cloud: Cloud, nat: Values, state: Values) -> Values:
    (address, *_) = nat.get("NatGatewayAddresses") or [{}]
    return {
        "subnetId": nat["SubnetId"],
        "allocationId": address.get("AllocationId"),
        "publicIp": address.get("PublicIp"),
        "privateIp": address.get("PrivateIp"),
        "networkInterfaceId": address.get("NetworkInterfaceId"),
        "connectivityType": nat.get("ConnectivityType", "public"),
    }


# --- routes


def _see_table(cloud: Cloud, table: Values, state: Values) -> Values:
    outputs = {"arn": arn(cloud, f"route-table/{table['RouteTableId']}"), "ownerId": cloud.account}
    return {**outputs, "vpcId": table["VpcId"]}


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


def _configure_endpoint(cloud: Cloud, id_: str, old: Values, new: Values) -> None:
    before, after = set(old.get("routeTableIds", [])), set(new.get("routeTableIds", []))
    change = {"AddRouteTableIds": after - before, "RemoveRouteTableIds": before - after}
    change = {key: sorted(ids) for key, ids in change.items() if ids}
    if old and change:
        cloud.client("ec2").modify_vpc_endpoint(VpcEndpointId=id_, **change)


def _see_endpoint(cloud: Cloud, endpoint: Values, state: Values) -> Values:
    tables = ordered(state.get("routeTableIds"), endpoint.get("RouteTableIds", []))
    seen = {
        "vpcId": endpoint["VpcId"],
        "serviceName": endpoint["ServiceName"],
        "routeTableIds": tables,
    }
    return {
        "arn": arn(cloud, f"vpc-endpoint/{endpoint['VpcEndpointId']}"),
        "ownerId": cloud.account,
        "state": "available",
        **managed(state, seen),
    }


# --- flow logs


def _create_flow_log(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    answer = cloud.client("ec2").create_flow_logs(
        ResourceType="VPC",
        ResourceIds=[inputs["vpcId"]],
        # moto checks only the name of the group; the provider sends its ARN.
        LogGroupName=inputs["logDestination"].partition(":log-group:")[2],
        **chosen(inputs, {"trafficType": "TrafficType", "iamRoleArn": "DeliverLogsPermissionArn"}),
        **tagged("vpc-flow-log", inputs),
    )
    (id_,) = answer["FlowLogIds"]
    return id_, {"arn": arn(cloud, f"vpc-flow-log/{id_}"), "maxAggregationInterval": 600}


def _read_flow_log(cloud: Cloud, id_: str, state: Values) -> Values | None:
    found = cloud.client("ec2").describe_flow_logs(FlowLogIds=[id_])["FlowLogs"]
    for log in found:
        seen = {
            "vpcId": log["ResourceId"],
            "trafficType": log["TrafficType"],
            "iamRoleArn": log.get("DeliverLogsPermissionArn"),
        }
        return {**seen, **tags_seen(log.get("Tags", []), state)}
    return None


RESOURCES = {
    "aws:ec2/flowLog:FlowLog": Resource(
        create=_create_flow_log,
        read=_read_flow_log,
        update=retag,
        delete=lambda cloud, id_, _: cloud.client("ec2").delete_flow_logs(FlowLogIds=[id_]),
        replaces=frozenset({"vpcId", "trafficType", "logDestination", "iamRoleArn"}),
    ),
    "aws:ec2/vpc:Vpc": _resource(
        "Vpc",
        "vpc",
        {"cidrBlock": "CidrBlock", "instanceTenancy": "InstanceTenancy"},
        _see_vpc,
        configure=_configure_vpc,
        replaces={"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"},
    ),
    "aws:ec2/subnet:Subnet": _resource(
        "Subnet",
        "subnet",
        {"vpcId": "VpcId", "cidrBlock": "CidrBlock", "availabilityZone": "AvailabilityZone"},
        _see_subnet,
        configure=_configure_subnet,
        replaces={"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"},
    ),
    "aws:ec2/internetGateway:InternetGateway": _resource(
        "InternetGateway",
        "internet-gateway",
        {},
        _see_gateway,
        configure=_configure_gateway,
        delete=_delete_gateway,
    ),
    "aws:ec2/eip:Eip": Resource(
        create=_create_address,
        read=_read_address,
        update=retag,
        delete=lambda cloud, id_, _: cloud.client("ec2").release_address(AllocationId=id_),
        replaces=frozenset({"domain", "publicIpv4Pool", "address"}),
    ),
    "aws:ec2/natGateway:NatGateway": _resource(
        "NatGateway",
        "natgateway",
        {
            "subnetId": "SubnetId",
            "allocationId": "AllocationId",
            "connectivityType": "ConnectivityType",
        },
        _see_nat,
        replaces={"subnetId", "allocationId", "connectivityType", "privateIp"},
    ),
    "aws:ec2/routeTable:RouteTable": _resource(
        "RouteTable", "route-table", {"vpcId": "VpcId"}, _see_table, replaces={"vpcId"}
    ),
    "aws:ec2/route:Route": Resource(
        create=_create_route,
        read=_read_route,
        update=_update_route,
        delete=_delete_route,
        replaces=frozenset({"routeTableId", "destinationCidrBlock"}),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Resource(
        create=_create_association,
        read=_read_association,
        delete=lambda cloud, id_, _: cloud.client("ec2").disassociate_route_table(
            AssociationId=id_
        ),
        replaces=frozenset({"routeTableId", "subnetId"}),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _resource(
        "VpcEndpoint",
        "vpc-endpoint",
        {
            "vpcId": "VpcId",
            "serviceName": "ServiceName",
            "vpcEndpointType": "VpcEndpointType",
            "routeTableIds": "RouteTableIds",
            "subnetIds": "SubnetIds",
        },
        _see_endpoint,
        configure=_configure_endpoint,
        delete=lambda cloud, id_, _: cloud.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[id_]),
        replaces={"vpcId", "serviceName", "vpcEndpointType"},
    ),
}
