import pytest

from components.airflow.values import worker_sets
from components.kubernetes.worker_nodes import WorkerNodes, WorkerNodesArgs
from settings.workers import WorkerSettings

POOL = "kubernetes:karpenter.sh/v1:NodePool"
TAINT = {"key": "airflow-platform/nodes", "value": "workers", "effect": "NoSchedule"}


@pytest.fixture
def pool(deploy):
    def make(**settings):
        args = WorkerNodesArgs(queues={"default": WorkerSettings(**settings)})
        return deploy(lambda: WorkerNodes("nodes", args)).one(POOL).inputs["spec"]

    return make


def requirement(pool, key):
    (found,) = [r for r in pool["template"]["spec"]["requirements"] if r["key"] == key]
    assert found["operator"] == "In"
    return found["values"]


@pytest.mark.parametrize(
    ("spot", "capacity"), [(True, ["spot", "on-demand"]), (False, ["on-demand"])]
)
def test_spot_is_opt_in_and_falls_back_to_on_demand(pool, spot, capacity):
    assert requirement(pool(spot=spot), "karpenter.sh/capacity-type") == capacity


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_nodes_have_the_architecture_of_the_queue(pool, architecture):
    assert requirement(pool(architecture=architecture), "kubernetes.io/arch") == [architecture]


def test_every_queue_has_dedicated_nodes(deploy):
    queues = {
        "default": WorkerSettings(),
        "etl": WorkerSettings(spot=True),
    }
    snapshot = deploy(lambda: WorkerNodes("nodes", WorkerNodesArgs(queues=queues)))
    sets = {each["queue"]: each for each in worker_sets(queues, own_nodes=True)}

    pools = {r.name: r.inputs for r in snapshot.all(POOL)}
    assert list(pools) == ["nodes-pool", "nodes-pool-etl"]
    default, etl = (p["spec"] for p in pools.values())
    assert pools["nodes-pool-etl"]["metadata"]["name"] == "airflow-workers-etl"
    assert requirement(default, "karpenter.sh/capacity-type") == ["on-demand"]
    assert requirement(etl, "karpenter.sh/capacity-type") == ["spot", "on-demand"]
    for spec, queue in ((default, "default"), (etl, "etl")):
        assert spec["template"]["spec"]["taints"] == sets[queue]["tolerations"]
        assert spec["template"]["metadata"]["labels"] == sets[queue]["nodeSelector"]
    assert sets["default"]["tolerations"] != sets["etl"]["tolerations"]


@pytest.mark.parametrize(("grace_seconds", "node"), [(30, "330s"), (7200, "7500s")])
def test_a_node_drain_waits_for_running_tasks(pool, grace_seconds, node):
    spec = pool(grace_seconds=grace_seconds)["template"]["spec"]

    assert spec["terminationGracePeriod"] == node, "longer than the grace period of its workers"


def test_nodes_of_workers_are_tainted(pool):
    assert pool()["template"]["spec"]["taints"] == [TAINT]


def test_empty_nodes_are_removed(pool):
    assert pool()["disruption"] == {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "60s",
    }


def test_nodes_use_the_default_node_class(deploy):
    args = WorkerNodesArgs(queues={"default": WorkerSettings()})
    inputs = deploy(lambda: WorkerNodes("nodes", args)).one(POOL).inputs

    assert inputs["metadata"]["name"] == "airflow-workers"
    assert inputs["metadata"]["labels"] == {"app.kubernetes.io/part-of": "airflow-platform"}
    assert inputs["spec"]["template"]["spec"]["nodeClassRef"] == {
        "group": "eks.amazonaws.com",
        "kind": "NodeClass",
        "name": "default",
    }
