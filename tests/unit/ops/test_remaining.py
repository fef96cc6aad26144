"""The report about resources that a deletion left."""

import pytest

from ops import remaining

STACK = "urn:pulumi:prod::p::"


def urn(name):
    return f"{STACK}{name}"


def resource(name, kind="aws:ec2/vpc:Vpc", needs=(), **more):
    dependencies = [urn(other) for other in needs]
    return {"urn": urn(name), "type": kind, "custom": True, "dependencies": dependencies, **more}


NETWORK = {"urn": urn("network"), "type": "airflow:aws:Network"}
PROVIDER = {"urn": urn("k8s"), "type": "pulumi:providers:kubernetes", "custom": True}


def test_nothing_is_reported_about_components_and_providers():
    assert remaining.report([NETWORK, PROVIDER], {}) == []


def test_each_resource_has_the_reason_that_keeps_it():
    resources = [
        NETWORK,
        resource("vpc", parent=urn("network")),
        resource("subnet-0", "aws:ec2/subnet:Subnet", ["vpc"]),
        resource("subnet-1", "aws:ec2/subnet:Subnet", ["vpc"]),
        resource("cluster", "aws:eks/cluster:Cluster", ["subnet-0", "subnet-1"], protect=True),
        resource("group", "aws:ec2/securityGroup:SecurityGroup", ["route"]),
        resource("route", "aws:ec2/route:Route", ["table"]),
        resource("table", "aws:ec2/routeTable:RouteTable"),
        resource("alone", "aws:ec2/eip:Eip"),
    ]

    assert remaining.report(resources, {urn("group"): "DependencyViolation: in use"}) == [
        "  protected:",
        "    aws:eks/cluster:Cluster cluster",
        "  needed by a protected resource:",
        "    aws:ec2/subnet:Subnet subnet-0, subnet-1: cluster",
        "    aws:ec2/vpc:Vpc vpc: cluster",
        "  refused, or not deleted in time:",
        "    aws:ec2/securityGroup:SecurityGroup group: DependencyViolation: in use",
        "  needed by a resource that is left:",
        "    aws:ec2/route:Route route: group",
        "    aws:ec2/routeTable:RouteTable table: group",
        "  not attempted; the next `make down` continues here:",
        "    aws:ec2/eip:Eip alone",
    ]


@pytest.mark.parametrize(
    "reference",
    [
        {"dependencies": [urn("vpc")]},
        {"propertyDependencies": {"vpcId": [urn("vpc")], "other": None}},
        {"parent": urn("vpc")},
        {"deletedWith": urn("vpc")},
        {"provider": f"{urn('vpc')}::7c9e"},
    ],
    ids=lambda reference: next(iter(reference)),
)
def test_every_reference_of_a_protected_resource_keeps(reference):
    protected = {**resource("data", "aws:s3/bucket:Bucket", protect=True), **reference}

    assert remaining.kept([resource("vpc"), resource("other"), protected]) == {
        urn("vpc"): urn("data"),
        urn("data"): urn("data"),
    }


def test_a_protected_resource_is_kept_for_itself():
    resources = [
        resource("key", protect=True),
        resource("cluster", needs=["key"], protect=True),
    ]

    assert remaining.kept(resources) == {urn("key"): urn("key"), urn("cluster"): urn("cluster")}
