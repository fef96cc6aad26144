import pytest

from settings import sizing
from settings.airflow import AirflowSettings, ReplicaSettings
from settings.workers import WorkerSettings


def workers(max_workers, concurrency):
    return WorkerSettings(max=max_workers, concurrency=concurrency, memory_mb=8192)


@pytest.mark.parametrize(
    ("parallelism", "schedulers", "one", "together"),
    [(None, 1, 32, 32), (None, 3, 32, 96), (10, 1, 10, 10), (10, 3, 10, 30), (1, 1, 1, 1)],
)
def test_parallelism_per_scheduler_is_all_slots_by_default(parallelism, schedulers, one, together):
    airflow = AirflowSettings(
        parallelism=parallelism, replicas=ReplicaSettings(scheduler=schedulers)
    )

    assert sizing.parallelism([workers(4, 8)], airflow) == one
    assert sizing.schedulable_tasks([workers(4, 8)], airflow) == together


@pytest.mark.parametrize(
    ("max_workers", "concurrency", "replicas", "connections"),
    [
        # 4 processes with pools of 15, 4 workers of 8 slots plus 1, 2 for KEDA, 15 reserved
        (4, 8, {}, 4 * 15 + 4 * 9 + 2 + 15),
        (20, 8, {}, 4 * 15 + 20 * 9 + 2 + 15),
        (4, 16, {}, 4 * 15 + 4 * 17 + 2 + 15),
        (4, 8, {"scheduler": 3}, 6 * 15 + 4 * 9 + 2 + 15),
        # A waiting DAG processor has one connection.
        (4, 8, {"api_server": 2, "dag_processor": 2, "triggerer": 2}, 6 * 15 + 1 + 4 * 9 + 2 + 15),
    ],
)
def test_the_maximum_number_of_connections(max_workers, concurrency, replicas, connections):
    airflow = AirflowSettings(replicas=ReplicaSettings(**replicas))

    assert sizing.database_connections([workers(max_workers, concurrency)], airflow) == connections


def test_connections_under_full_load_match_the_measurement():
    # make bench-workers, 2026-11-26: 20 of the workers, 6 of the API server, one of each other process.
    # Since then, the DAG processor has another one for its lock.
    fixed = WorkerSettings(max=4, concurrency=4, scaling="fixed")

    assert sizing.loaded_connections([fixed], AirflowSettings()) == 20 + 6 + 4 + 1


def test_every_process_and_queue_adds_loaded_connections():
    replicas = ReplicaSettings(scheduler=2, api_server=3, dag_processor=2, triggerer=2)
    queues = [workers(4, 8), workers(2, 3)]

    connections = sizing.loaded_connections(queues, AirflowSettings(replicas=replicas))

    assert connections == 3 * 6 + 2 + 3 + 2 + 1 + 4 * 9 + 2 * 4 + 2 * 2


def api_servers(replicas, processes=None, **config):
    options = {"api": {"workers": processes}} if processes else {}
    return AirflowSettings(
        replicas=ReplicaSettings(api_server=replicas), config={**options, **config}
    )


@pytest.mark.parametrize(
    ("slots", "airflow", "seconds", "sent"),
    [
        ((92, 1), api_servers(1), 1, 92),
        ((93, 1), api_servers(1), 2, 47),
        ((100, 8), api_servers(2), 5, 160),
        ((500, 10), api_servers(2), 5, 1000),
        ((100, 8), api_servers(2, 4), 2, 400),
        ((100, 8), api_servers(2, "4"), 2, 400),
        ((100, 8), api_servers(2, workers={"min_heartbeat_interval": 1}), 1, 800),
        ((100, 8), api_servers(2, workers={"min_heartbeat_interval": 10}), 10, 80),
    ],
)
def test_the_heartbeat_interval_is_what_api_servers_answer(slots, airflow, seconds, sent):
    queues = [workers(*slots)]

    assert sizing.heartbeat_seconds(queues, airflow) == seconds
    assert sizing.heartbeats(queues, airflow) == sent


def test_tasks_beyond_parallelism_send_no_heartbeats():
    airflow = AirflowSettings(parallelism=10)

    assert sizing.heartbeats([workers(20, 8)], airflow) == 10


@pytest.mark.parametrize(
    ("connections", "pool"), [(sizing.database_connections, 15), (sizing.loaded_connections, 6)]
)
def test_every_process_of_an_api_server_has_connections(connections, pool):
    one, four = (connections([workers(4, 8)], api_servers(2, n)) for n in (1, 4))

    assert four - one == 2 * 3 * pool


def test_sizes_add_up_over_all_queues():
    queues = [workers(4, 8), workers(2, 3)]
    airflow = AirflowSettings(replicas=ReplicaSettings(scheduler=2))

    assert sizing.task_slots(queues) == 4 * 8 + 2 * 3
    assert sizing.parallelism(queues, airflow) == 38
    assert sizing.schedulable_tasks(queues, airflow) == 76
    assert sizing.worker_connections(queues[1]) == 2 * 4
    assert sizing.database_connections(queues, airflow) == 5 * 15 + 4 * 9 + 2 * 4 + 2 * 2 + 15


def test_the_connection_limit_of_keda_is_per_queue():
    by_tasks, by_cpu = WorkerSettings(), WorkerSettings(scaling="cpu")

    assert sizing.keda_connection_limit([by_tasks]) == 5
    assert sizing.keda_connection_limit([by_tasks, by_cpu, by_tasks]) == 10


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        ({"max": 1}, 1),
        ({"max": 20, "cpu": 2, "memory_mb": 6144, "disk_gb": 3}, 1),
        # 192 CPU and 1536 GiB, a tenth of them reserved: 10 workers of 16.02 CPU
        ({"max": 10, "cpu": 16, "disk_gb": 1}, 1),
        ({"max": 11, "cpu": 16, "disk_gb": 1}, 2),
        # 5 workers of 256 GiB and their sidecars
        ({"max": 5, "memory_mb": 262144}, 1),
        ({"max": 6, "memory_mb": 262144}, 2),
        # nine tenths of 80 GiB of disk
        ({"max": 7}, 1),
        ({"max": 8}, 2),
        # eight GPUs
        ({"max": 4, "gpu": 2, "disk_gb": 1}, 1),
        ({"max": 5, "gpu": 2, "disk_gb": 1}, 2),
    ],
)
def test_the_minimum_of_nodes_is_for_the_largest_size(workers, nodes):
    assert sizing.min_nodes(WorkerSettings(**workers), disk_gb=80) == nodes


@pytest.mark.parametrize(("number", "nodes"), [(110, 1), (111, 2)])
def test_a_node_has_at_most_110_pods(number, nodes):
    small = WorkerSettings(max=number, cpu=0.1, disk_gb=1)

    assert sizing.min_nodes(small, disk_gb=200) == nodes


@pytest.mark.parametrize(
    ("disks", "node"),
    [
        ([10], 80),
        # nine tenths are for pods, 10 GiB of them for images
        ([62], 80),
        ([63], 82),
        ([10, 500, 20], 567),
    ],
)
def test_the_disk_of_nodes_follows_the_largest_queue(disks, node):
    assert sizing.node_disk_gb([WorkerSettings(disk_gb=each) for each in disks]) == node
