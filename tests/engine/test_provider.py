"""The provider as Pulumi's engine calls it: over gRPC, on its own port."""

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tests.engine.simulator import provider
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.faults import Faults
from tests.engine.simulator.values import UNKNOWN, decode, encode

QUEUE = "aws:sqs/queue:Queue"
VPC = "aws:ec2/vpc:Vpc"
NETWORK = {"cidrBlock": "10.0.0.0/16"}


class Engine:
    """Requests to the provider; the caller keeps the state, as the engine does."""

    def __init__(self, stub):
        self.stub = stub
        self.configure(project="airflow-platform", stack="test")

    def configure(self, **default_tags):
        arguments = encode({"region": "eu-west-1", "defaultTags": {"tags": default_tags}})
        self.stub.Configure(provider_pb2.ConfigureRequest(args=arguments))

    def check(self, token, news):
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=urn(token), news=encode(news), randomSeed=b"\x01\x23\x45\x67"
            )
        )
        return decode(answer.inputs), [(f.property, f.reason) for f in answer.failures]

    def create(self, token, inputs):
        answer = self.stub.Create(
            provider_pb2.CreateRequest(urn=urn(token), properties=encode(inputs), timeout=60)
        )
        return answer.id, decode(answer.properties)

    def diff(self, token, id_, state, old, new, ignored=()):
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=urn(token),
                id=id_,
                olds=encode(state),
                old_inputs=encode(old),
                news=encode(new),
                ignoreChanges=ignored,
            )
        )

    def delete(self, token, id_, state):
        self.stub.Delete(
            provider_pb2.DeleteRequest(urn=urn(token), id=id_, properties=encode(state))
        )


KEY = "aws:kms/key:Key"


def urn(token, name="one"):
    return f"urn:pulumi:test::airflow-platform::{token}::{name}"


@pytest.fixture(scope="module")
def engine():
    with Cloud() as cloud:
        server, port = provider.start(provider.Provider(cloud, Faults()))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Engine(provider_pb2_grpc.ResourceProviderStub(channel))
        server.stop(grace=None).wait()


@pytest.fixture
def vpc(engine):
    """The inputs, the ID and the state of a VPC."""
    inputs, _ = engine.check(VPC, NETWORK)
    id_, state = engine.create(VPC, inputs)
    yield inputs, id_, state
    engine.delete(VPC, id_, state)


def test_an_unknown_resource_type_is_an_error(engine):
    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED") as error:
        # The engine checks the inputs before every other operation.
        engine.check(QUEUE, {"name": "a"})

    assert error.value.details() == f"{QUEUE} is not simulated: add it to RESOURCES"


@pytest.mark.parametrize(
    ("inputs", "failure"),
    [
        (
            {"cidrBlok": "10.0.0.0/16"},
            ("cidrBlok", "no such property; did you mean cidrBlock?"),
        ),
        (
            {"cidrBlock": "10.0.0.0/8"},
            ("cidrBlock", "InvalidVpc.Range: The CIDR '10.0.0.0/8' is invalid."),
        ),
    ],
    ids=["by the SDK's types", "by a rule"],
)
def test_bad_inputs_fail_before_the_resource_is_created(engine, inputs, failure):
    assert engine.check(VPC, inputs)[1] == [failure]


def test_default_tags_are_checked_with_a_resources_own_tags(engine):
    engine.configure(**{f"default-{n}": "v" for n in range(26)})
    _, failures = engine.check(VPC, {**NETWORK, "tags": {f"own-{n}": "v" for n in range(25)}})
    engine.configure(project="airflow-platform", stack="test")

    assert failures == [("tags", "TagLimitExceeded: at most 50 tags on a resource")]


def test_an_ignored_property_is_no_difference(engine, vpc):
    inputs, id_, state = vpc
    changed = {**inputs, "cidrBlock": "10.9.0.0/16"}

    answer = engine.diff(VPC, id_, state, inputs, changed, ignored=["cidrBlock"])

    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_an_unknown_value_is_a_difference(engine, vpc):
    inputs, id_, state = vpc

    answer = engine.diff(VPC, id_, state, inputs, {**inputs, "cidrBlock": UNKNOWN})

    assert list(answer.diffs) == ["cidrBlock"]


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"nodeRoleArn": "arn:one"}, {}, ["computeConfig"]),
        ({"nodeRoleArn": "arn:one"}, {"nodeRoleArn": "arn:two"}, ["computeConfig"]),
        ({}, {"nodeRoleArn": "arn:one"}, []),
        ({"nodePools": ["system"]}, {"nodePools": []}, []),
    ],
)
def test_a_cluster_keeps_its_node_role(engine, old, new, replaced):
    """As in the official provider: only a role that exists cannot change."""
    given = [{"name": "k8s", "computeConfig": {"enabled": True, **config}} for config in (old, new)]

    answer = engine.diff("aws:eks/cluster:Cluster", "k8s", given[0], *given)

    assert "computeConfig" in answer.diffs
    assert list(answer.replaces) == replaced


def test_a_resource_is_managed_in_its_region(engine):
    inputs = {"region": "eu-central-1", "enableKeyRotation": True}
    id_, state = engine.create(KEY, inputs)

    assert state["arn"].startswith("arn:aws:kms:eu-central-1:")
    moved = engine.diff(KEY, id_, state, inputs, {**inputs, "region": "eu-west-3"})
    assert list(moved.replaces) == ["region"]
    engine.delete(KEY, id_, state)
