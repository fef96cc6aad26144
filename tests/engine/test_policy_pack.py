"""The policy pack as the Pulumi engine runs it: its own process, environment and protocol."""

import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2

from ops import stack_files
from ops.plan import mock_engine
from policies.rules import RULES
from tests.engine import pack

DATABASE = ("aws:rds/instance:Instance", "database-instance")
UNKNOWN = (
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # how a text that only the update will tell travels
)


@pytest.fixture
def analyze():
    """Send resources to a pack that was started for `stack`: what it says."""

    def run(stack, resources, **policies):
        with pack.started(stack, **policies) as stub:
            info = stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
            said = stub.AnalyzeStack(pack.question(resources), timeout=30).diagnostics
        # Of versions the calendar decides, not this test.
        return info, [line for line in said if "supported" not in line.message]

    return run


@pytest.fixture
def changed():
    """The resources of a committed stack, with other inputs for one of them."""

    def change(stack, resource, **inputs):
        declaration, _ = stack_files.run_stack(stack)
        declaration.one(*resource).inputs.update(inputs)
        return declaration.resources.values()

    return change


def messages(diagnostics):
    return [(line.policyName, line.message.splitlines()[-1]) for line in diagnostics]


@pytest.mark.parametrize("stack", stack_files.stack_names())
def test_no_committed_stack_breaks_a_rule_of_the_pack(analyze, stack):
    declaration, _ = stack_files.run_stack(stack)
    info, said = analyze(stack, declaration.resources.values())

    assert messages(said) == []
    seen = {rule.name for rule in RULES if rule.seen_by == "plan and pack"}
    assert {policy.name for policy in info.policies} == {*seen, "warnings"}


def test_the_pack_stops_what_the_plan_stops_in_the_same_words(analyze, changed):
    resources = changed("dev", DATABASE, publiclyAccessible=True)
    _, said = analyze("dev", resources)

    assert messages(said) == [
        (
            "database-is-private",
            "database-is-private: database-instance: publiclyAccessible is true. The metadata database "
            "stores every Airflow connection. Set it to false: clients connect from inside the VPC.",
        )
    ]
    assert said[0].enforcementLevel == analyzer_pb2.MANDATORY
    assert said[0].urn == next(r.urn for r in resources if r.name == DATABASE[1])


def test_what_a_preview_does_not_know_yet_breaks_nothing(analyze, changed):
    _, said = analyze("dev", changed("dev", DATABASE, publiclyAccessible=UNKNOWN))
    assert messages(said) == []


def test_level_and_exceptions_come_from_the_configuration_of_the_stack(analyze, changed):
    resources = list(changed("dev", DATABASE, multiAz=False))
    _, strict = analyze("dev", resources, level="production")
    reason = "a zone may fail: this one is rebuilt within the hour"
    _, excused = analyze(
        "dev", resources, level="production", exceptions={"database-multi-az": reason}
    )

    assert "database-multi-az" in {line.policyName for line in strict}
    gone = {line.policyName for line in strict} - {line.policyName for line in excused}
    assert gone == {"database-multi-az"}


def test_a_cluster_inside_the_component_is_the_one_that_counts(analyze):
    declaration, _ = stack_files.run_stack("dev")
    component = declaration.one("eks:index:Cluster")
    # In the engine the component itself has none of its inputs; the cluster that it makes has them.
    real = mock_engine.Resource(
        **{
            **vars(component),
            "urn": component.urn.replace(
                "eks:index:Cluster::", "eks:index:Cluster$aws:eks/cluster:Cluster::"
            ),
            "type": "aws:eks/cluster:Cluster",
            "parent": component.urn,
            "inputs": {
                "version": component.inputs["version"],
                "enabledClusterLogTypes": component.inputs["enabledClusterLogTypes"],
                "encryptionConfig": {"provider": {"keyArn": "arn:aws:kms:::key/1"}},
                "vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]},
            },
        }
    )
    component.inputs.clear()
    _, said = analyze("dev", [*declaration.resources.values(), real])

    assert [name for name, _ in messages(said)] == ["cluster-endpoint-access-restricted"]
