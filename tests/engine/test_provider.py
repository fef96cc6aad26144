"""The provider as Pulumi's engine meets it: over its protocol, on a port of its own."""

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from ops import stack_files
from tests.engine.refusals import GOOD, INSTANCE, SUBNET, VPC
from tests.engine.simulator import provider
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.faults import Faults
from tests.engine.simulator.resources import LOOKUPS, RESOURCES
from tests.engine.simulator.values import UNKNOWN, decode, encode, is_secret, plain, secret

QUEUE = "aws:sqs/queue:Queue"
DEFAULT_TAGS = {"project": "airflow-platform", "stack": "test"}


class Engine:
    """The questions that an engine asks, as one that keeps the state."""

    def __init__(self, stub):
        self.stub = stub
        arguments = encode({"region": "eu-west-1", "defaultTags": {"tags": DEFAULT_TAGS}})
        self.stub.Configure(provider_pb2.ConfigureRequest(args=arguments))

    def check(self, token, news, olds=None, seed=b"\x01\x23\x45\x67"):
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=urn(token), news=encode(news), olds=encode(olds or {}), randomSeed=seed
            )
        )
        return decode(answer.inputs), [(f.property, f.reason) for f in answer.failures]

    def create(self, token, inputs, *, preview=False):
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=urn(token), properties=encode(inputs), preview=preview, timeout=60
            )
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

    def update(self, token, id_, state, old, new, *, preview=False):
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                urn=urn(token),
                id=id_,
                olds=encode(state),
                old_inputs=encode(old),
                news=encode(new),
                preview=preview,
            )
        )
        return decode(answer.properties)

    def read(self, token, id_, state, inputs):
        return self.stub.Read(
            provider_pb2.ReadRequest(
                urn=urn(token), id=id_, properties=encode(state), inputs=encode(inputs)
            )
        )

    def delete(self, token, id_, state):
        self.stub.Delete(
            provider_pb2.DeleteRequest(urn=urn(token), id=id_, properties=encode(state))
        )


def urn(token, name="one"):
    return f"urn:pulumi:test::airflow-platform::{token}::{name}"


@pytest.fixture(scope="module")
def served():
    with Cloud() as cloud:
        faults = Faults()
        server, port = provider.start(provider.Provider(cloud, faults))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Engine(provider_pb2_grpc.ResourceProviderStub(channel)), cloud, faults
        server.stop(grace=None).wait()


@pytest.fixture
def asked(served):
    return served[0]


@pytest.fixture
def faults(served):
    yield served[2]
    served[2].heal()


@pytest.fixture
def vpc(asked):
    """A VPC that was made: its inputs, its ID and its state."""
    inputs, _ = asked.check(VPC, GOOD[VPC])
    id_, state = asked.create(VPC, inputs)
    yield inputs, id_, state
    asked.delete(VPC, id_, state)


def _refused(code):
    return pytest.raises(grpc.RpcError, match=f"StatusCode.{code}")


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.check(QUEUE, {"name": "a"}),
        lambda engine: engine.diff(QUEUE, "a", {}, {}, {}),
        lambda engine: engine.create(QUEUE, {"name": "a"}),
        lambda engine: engine.create(QUEUE, {"name": "a"}, preview=True),
        lambda engine: engine.update(QUEUE, "a", {}, {}, {}),
        lambda engine: engine.read(QUEUE, "a", {}, {}),
        lambda engine: engine.delete(QUEUE, "a", {}),
    ],
    ids=["check", "diff", "create", "preview", "update", "read", "delete"],
)
def test_a_type_that_is_not_modelled_is_an_error_and_never_a_silent_yes(asked, ask):
    with _refused("UNIMPLEMENTED") as error:
        ask(asked)

    assert error.value.details() == f"{QUEUE} is not simulated: add it to RESOURCES"


def test_a_lookup_that_is_not_modelled_is_an_error(asked):
    with _refused("UNIMPLEMENTED") as error:
        asked.stub.Invoke(provider_pb2.InvokeRequest(tok="aws:ec2/getAmi:getAmi"))

    assert "aws:ec2/getAmi:getAmi is not simulated" in error.value.details()


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_every_type_that_the_program_declares_is_modelled(name):
    declaration, _ = stack_files.run_stack(name)
    used = {r.type for r in declaration.resources.values() if r.type.startswith("aws:")}

    assert used
    assert used <= RESOURCES.keys()


def test_a_lookup_answers_from_the_account(asked):
    (token,) = [known for known in LOOKUPS if "getAvailabilityZones" in known]
    request = provider_pb2.InvokeRequest(tok=token, args=encode({"state": "available"}))
    answer = getattr(asked.stub.Invoke(request), "return")

    assert decode(answer)["names"][:2] == ["eu-west-1a", "eu-west-1b"]


def test_another_region_than_that_of_the_account_is_refused(asked):
    answer = asked.stub.CheckConfig(
        provider_pb2.CheckRequest(urn=urn("pulumi:providers:aws"), news=encode({"region": "x"}))
    )

    assert [f.property for f in answer.failures] == ["region"]
    assert "the simulated account is in eu-west-1, got 'x'" in answer.failures[0].reason


def test_what_a_rule_refuses_stops_before_anything_is_made(asked):
    _, failures = asked.check(VPC, {**GOOD[VPC], "cidrBlock": "10.0.0.0/8"})

    assert failures == [("cidrBlock", "should be /16 to /28, got '10.0.0.0/8'")]


def test_a_name_that_the_program_does_not_give_gets_a_suffix_and_keeps_it(asked):
    token = "aws:rds/subnetGroup:SubnetGroup"
    inputs, _ = asked.check(token, {"subnetIds": ["subnet-1", "subnet-2"]})
    assert inputs["name"] == "one-0123456"

    again, _ = asked.check(token, {"subnetIds": ["subnet-1"]}, olds=inputs, seed=b"\xff" * 4)
    assert again["name"] == "one-0123456"

    given, _ = asked.check(token, {"name": "mine", "subnetIds": ["subnet-1", "subnet-2"]})
    assert given["name"] == "mine"


def test_a_preview_makes_nothing_and_says_what_only_the_update_will_tell(asked, served):
    before = served[1].inventory()

    id_, state = asked.create(VPC, GOOD[VPC], preview=True)

    assert id_ == ""
    assert plain(state)["arn"] is UNKNOWN
    assert state["cidrBlock"] == GOOD[VPC]["cidrBlock"]
    assert served[1].inventory() == before


def test_what_is_made_has_the_tags_of_the_stack(vpc, served):
    _, id_, state = vpc
    (made,) = served[1].client("ec2").describe_vpcs(VpcIds=[id_])["Vpcs"]

    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert DEFAULT_TAGS.items() <= tags.items()
    assert state["tagsAll"] == tags


def test_the_same_again_is_no_difference(asked, vpc):
    inputs, id_, state = vpc

    answer = asked.diff(VPC, id_, state, inputs, inputs)

    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_what_aws_cannot_change_in_place_is_a_replacement(asked, vpc):
    inputs, id_, state = vpc

    answer = asked.diff(VPC, id_, state, inputs, {**inputs, "cidrBlock": "10.9.0.0/16"})

    assert list(answer.replaces) == ["cidrBlock"]
    kind = answer.detailedDiff["cidrBlock"].kind
    assert kind == provider_pb2.PropertyDiff.Kind.UPDATE_REPLACE


def test_what_aws_changes_in_place_is_none(asked, vpc):
    inputs, id_, state = vpc
    changed = {**inputs, "enableDnsSupport": False}

    answer = asked.diff(VPC, id_, state, inputs, changed)
    assert list(answer.diffs) == ["enableDnsSupport"]
    assert list(answer.replaces) == []
    assert asked.update(VPC, id_, state, inputs, changed, preview=True)["enableDnsSupport"] is False
    after = asked.update(VPC, id_, state, inputs, changed)
    assert after["enableDnsSupport"] is False
    assert decode(asked.read(VPC, id_, after, changed).inputs)["enableDnsSupport"] is False


def test_what_the_program_ignores_is_no_difference(asked, vpc):
    inputs, id_, state = vpc
    changed = {**inputs, "cidrBlock": "10.9.0.0/16"}

    answer = asked.diff(VPC, id_, state, inputs, changed, ignored=["cidrBlock"])

    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_value_that_is_not_known_yet_is_a_difference(asked, vpc):
    inputs, id_, state = vpc

    answer = asked.diff(VPC, id_, state, inputs, {**inputs, "cidrBlock": UNKNOWN})

    assert list(answer.diffs) == ["cidrBlock"]


def test_what_is_gone_reads_as_nothing(asked, vpc):
    inputs, _, state = vpc

    assert asked.read(VPC, "vpc-00000000", state, inputs).id == ""


def test_a_read_says_what_somebody_changed(asked, vpc, served):
    given, id_, state = vpc
    inputs = {**given, "enableDnsSupport": True}
    served[1].client("ec2").modify_vpc_attribute(VpcId=id_, EnableDnsSupport={"Value": False})

    answer = asked.read(VPC, id_, {**state, **inputs}, inputs)

    assert decode(answer.properties)["enableDnsSupport"] is False
    assert decode(answer.inputs)["enableDnsSupport"] is False, "the next `up` puts it back"


def test_a_refusal_of_aws_names_the_step_and_the_reason(asked):
    with _refused("UNKNOWN") as error:
        asked.create(SUBNET, {**GOOD[SUBNET], "vpcId": "vpc-00000000"})

    said = error.value.details()
    assert said.startswith(f"create {SUBNET} 'one': operation error CreateSubnet, ")
    assert "InvalidVpcID.NotFound" in said


def test_a_secret_that_came_in_is_one_in_the_state(asked, faults):
    inputs, _ = asked.check(INSTANCE, {**GOOD[INSTANCE], "password": secret("a-password")})
    assert is_secret(inputs["password"])

    _, state = asked.create(INSTANCE, inputs, preview=True)

    assert state["password"] == secret("a-password")


def test_a_fault_is_the_reason_of_the_step_that_met_it_and_only_once(asked, faults):
    faults.add(operation="create", token=VPC, error="VpcLimitExceeded", message="five are enough")

    with _refused("UNKNOWN") as error:
        asked.create(VPC, GOOD[VPC])
    assert "VpcLimitExceeded: five are enough" in error.value.details()

    id_, state = asked.create(VPC, GOOD[VPC])
    asked.delete(VPC, id_, state)
