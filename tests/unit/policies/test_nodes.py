import pytest

from tests.unit.policies.resources import (
    LAUNCH_TEMPLATE,
    airflow,
    assert_complies,
    breaches,
    resource,
    server,
)

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
MACHINES = [
    LAUNCH_TEMPLATE,
    "aws:ec2/instance:Instance",
    "aws:ec2/launchConfiguration:LaunchConfiguration",
]
TAINT = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
TOLERATION = {"key": "nodes", "value": "workers", "effect": "NoSchedule"}
CHART_PARTS = [
    "scheduler",
    "apiServer",
    "dagProcessor",
    "triggerer",
    "statsd",
    "workers",
    "migrateDatabaseJob",
    "createUserJob",
    "databaseCleanup",
]
REMOVE = "Remove the toleration: only workers.celery may have it"


def node_pool(capacity="on-demand", *more, taints=()):
    requirement = {
        "key": "karpenter.sh/capacity-type",
        "operator": "In",
        "values": [capacity, *more],
    }
    template = {"spec": {"requirements": [requirement], "taints": list(taints)}}
    return resource(NODE_POOL, "pool", spec={"template": template})


@pytest.mark.parametrize("type", MACHINES)
def test_a_machine_with_imdsv1_is_a_breach(type):
    machine = resource(type, metadataOptions={"httpTokens": "optional"})
    assert breaches("imdsv2-required", machine) == [
        ("it", 'metadataOptions.httpTokens is "optional"', "Set it to required")
    ]


def test_a_node_group_without_launch_template_is_a_breach():
    assert breaches("imdsv2-required", resource(NODE_GROUP)) == [
        (
            "it",
            "launchTemplate is not set",
            "Use a launch template with metadataOptions.httpTokens: required",
        )
    ]


@pytest.mark.parametrize(
    "machine",
    [
        resource(LAUNCH_TEMPLATE, metadataOptions={"httpTokens": "required"}),
        resource(NODE_GROUP, launchTemplate={"id": "lt-1"}),
    ],
)
def test_a_machine_with_imdsv2_complies(machine):
    assert_complies("imdsv2-required", machine)


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        (node_pool("spot", "on-demand"), "pool"),
        (node_pool("spot", taints=[{**TAINT, "effect": "PreferNoSchedule"}]), "pool"),
        (resource(NODE_GROUP, capacityType="SPOT"), "it"),
    ],
)
def test_spot_nodes_without_a_taint_are_a_breach(nodes, name):
    assert breaches("spot-only-for-workers", nodes) == [
        (
            name,
            "the spot nodes have no NoSchedule or NoExecute taint",
            "Add a NoSchedule taint, and a matching toleration to workers.celery",
        )
    ]


@pytest.mark.parametrize(
    "toleration",
    [
        TOLERATION,
        {"operator": "Exists"},
        {"operator": "Exists", "key": "nodes"},
        {"operator": "Equal", "key": "nodes", "value": "workers"},
    ],
)
def test_a_server_that_tolerates_the_taint_is_a_breach(toleration):
    pods = node_pool(taints=[TAINT]), server(tolerations=[toleration])
    assert breaches("spot-only-for-workers", *pods) == [
        ("redis", "tolerations tolerate the taint nodes of pool", REMOVE)
    ]


def test_the_taint_of_a_node_group_counts_too():
    group = resource(NODE_GROUP, taints=[{**TAINT, "effect": "NO_EXECUTE"}])
    assert breaches("spot-only-for-workers", group, server(tolerations=[TOLERATION])) == [
        ("redis", "tolerations tolerate the taint nodes of it", REMOVE)
    ]


@pytest.mark.parametrize("part", CHART_PARTS)
def test_a_chart_part_that_tolerates_the_taint_is_a_breach(part):
    release = airflow(**{part: {"tolerations": [TOLERATION]}})
    assert breaches("spot-only-for-workers", node_pool(taints=[TAINT]), release) == [
        ("airflow-release", f"{part}.tolerations tolerate the taint nodes of pool", REMOVE)
    ]


def test_a_toleration_of_the_whole_chart_is_a_breach():
    release = airflow(tolerations=[TOLERATION])
    assert breaches("spot-only-for-workers", node_pool(taints=[TAINT]), release) == [
        ("airflow-release", "tolerations tolerate the taint nodes of pool", REMOVE)
    ]


def test_celery_workers_may_tolerate_the_taint():
    workers = airflow(workers={"celery": {"tolerations": [TOLERATION]}})
    assert_complies("spot-only-for-workers", node_pool("spot", taints=[TAINT]), workers)


@pytest.mark.parametrize(
    "toleration", [{"key": "nodes", "value": "others"}, {"key": "other", "operator": "Exists"}]
)
def test_tolerations_of_other_taints_comply(toleration):
    pool = node_pool("spot", taints=[TAINT])
    assert_complies("spot-only-for-workers", pool, server(tolerations=[toleration]))


def test_nodes_without_taints_allow_any_toleration():
    pods = node_pool(), server(tolerations=[{"operator": "Exists"}])
    assert_complies("spot-only-for-workers", *pods)
