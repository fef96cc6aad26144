"""The policy pack as the Pulumi engine runs it: a process with its own environment, over gRPC."""

import re

import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2

from ops import stack_files
from ops.plan import mock_engine
from policies.rules import RULES
from tests.engine import pack

DATABASE = ("aws:rds/instance:Instance", "database-instance")
# Wire format of a string that a preview does not know.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
OF_VERSIONS = re.compile(r"-version-supported: |server-version-exact: |(cve|rlsa)-\d+-\d+: ")


@pytest.fixture
def analyze():
    """Send resources to a pack started for `stack`: its information and diagnostics."""

    def run(stack, resources, **policies):
        with pack.started(stack, **policies) as stub:
            info = stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
            diagnostics = stub.AnalyzeStack(pack.request(resources), timeout=30).diagnostics
        # Findings about versions depend on the date.
        return info, [line for line in diagnostics if not OF_VERSIONS.search(line.message)]

    return run


@pytest.fixture
def changed():
    """The resources of a committed stack, with changed inputs of one of them."""

    def change(stack, resource, **inputs):
        snapshot, _ = stack_files.run_stack(stack)
        snapshot.one(*resource).inputs.update(inputs)
        return snapshot.resources.values()

    return change


def messages(diagnostics):
    return [(line.policyName, line.message.splitlines()[-1]) for line in diagnostics]


@pytest.mark.parametrize("stack", stack_files.stack_names())
def test_committed_stacks_pass_the_pack(analyze, stack):
    snapshot, _ = stack_files.run_stack(stack)
    info, found = analyze(stack, snapshot.resources.values())

    assert messages(found) == []
    seen = {rule.name for rule in RULES if rule.seen_by == "plan and pack"}
    assert {policy.name for policy in info.policies} == {*seen, "warnings"}


def test_the_pack_reports_a_finding_with_the_plans_message(analyze, changed):
    resources = changed("dev", DATABASE, publiclyAccessible=True)
    _, found = analyze("dev", resources)

    assert messages(found) == [
        (
            "database-is-private",
            "database-is-private: database-instance: publiclyAccessible is true. The metadata database "
            "stores every Airflow connection. Set it to false: clients connect from inside the VPC.",
        )
    ]
    assert found[0].enforcementLevel == analyzer_pb2.MANDATORY
    assert found[0].urn == next(r.urn for r in resources if r.name == DATABASE[1])


def test_an_unknown_value_is_no_finding(analyze, changed):
    _, found = analyze("dev", changed("dev", DATABASE, publiclyAccessible=UNKNOWN))
    assert messages(found) == []


def test_level_and_exceptions_are_read_from_the_stack(analyze, changed):
    resources = list(changed("dev", DATABASE, multiAz=False))
    _, strict = analyze("dev", resources, level="production")
    reason = "a zone may fail: this one is rebuilt within the hour"
    _, excepted = analyze(
        "dev", resources, level="production", exceptions={"database-multi-az": reason}
    )

    assert "database-multi-az" in {line.policyName for line in strict}
    gone = {line.policyName for line in strict} - {line.policyName for line in excepted}
    assert gone == {"database-multi-az"}


def test_an_advisory_is_a_breach_in_production_only():
    snapshot, _ = stack_files.run_stack("dev")
    rule = "cve-2026-68982"
    levels = {}
    for level in ("production", "development"):
        with pack.started("dev", level=level) as stub:
            request = pack.request(snapshot.resources.values())
            found = stub.AnalyzeStack(request, timeout=30).diagnostics
        levels[level] = {
            (line.policyName, line.enforcementLevel)
            for line in found
            if f"{rule}: " in line.message
        }

    assert levels == {
        "production": {(rule, analyzer_pb2.MANDATORY)},
        "development": {("warnings", analyzer_pb2.ADVISORY)},
    }


def test_the_cluster_inside_the_component_is_checked(analyze):
    snapshot, _ = stack_files.run_stack("dev")
    component = snapshot.one("eks:index:Cluster")
    # In the engine the component has no inputs; its child, the cluster, has them.
    real = mock_engine.Resource(
        **{
            **vars(component),
            "urn": component.urn.replace(
                "eks:index:Cluster::", "eks:index:Cluster$aws:eks/cluster:Cluster::"
            ),
            "type": "aws:eks/cluster:Cluster",
            "parent": component.urn,
            "inputs": {
                "name": component.inputs["name"],
                "version": component.inputs["version"],
                "enabledClusterLogTypes": component.inputs["enabledClusterLogTypes"],
                "encryptionConfig": {"provider": {"keyArn": "arn:aws:kms:::key/1"}},
                "vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]},
            },
        }
    )
    component.inputs.clear()
    _, found = analyze("dev", [*snapshot.resources.values(), real])

    assert [name for name, _ in messages(found)] == ["cluster-endpoint-access-restricted"]
