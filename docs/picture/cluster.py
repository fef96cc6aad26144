"""The inside of the Kubernetes cluster: the pods of Airflow, and what flows between them."""

from collections.abc import Iterator

from docs.picture import look
from docs.picture.facts import Facts, Workers
from docs.picture.svg import PILE, Box, Card, Point, arrow, card, cylinder, frame, label

# Beside the triggerers pass what workers tell the API server, and the logs that it shows.
STATE_X = 678
SHOWN_LOGS = Point(660, 398)


def frames(facts: Facts) -> Iterator[str]:
    yield frame(
        look.CLUSTER,
        f"EKS Auto Mode, Kubernetes {facts.kubernetes}",
        color=look.EKS,
        fill=look.WHITE,
        name_x=look.NAMES_X,
    )
    cidrs = facts.endpoint_cidrs
    endpoint = "private endpoint" if cidrs is None else f"endpoint for {look.networks(cidrs)}"
    at = (look.CLUSTER.right - 12, look.CLUSTER.y + 19)
    yield label(endpoint, at, color=look.EKS, width=270, anchor="end")
    yield frame(
        look.NAMESPACE,
        f"namespace {facts.namespace}: Airflow {facts.airflow}",
        color=look.POD,
        fill=look.NAMESPACE_FILL,
        name_x=look.NAMES_X,
        dashed=True,
    )


def pods(facts: Facts) -> Iterator[str]:
    count = facts.replicas
    for box, number, name, does in (
        (look.DAG_PROCESSOR, count["dagProcessor"], "DAG processor", "reading DAG files"),
        (look.API_SERVER, count["apiServer"], "API server", "UI, REST API, task execution API"),
        (look.TRIGGERER, count["triggerer"], "triggerer", "deferred tasks"),
        (look.SCHEDULER, count["scheduler"], "scheduler", "what runs when"),
    ):
        yield card(box, Card(_count(number, name), [does]), color=look.POD, pile=number > 1)
    workers = facts.workers
    words = Card(
        worker_count(workers),
        [
            f"{_count(workers.tasks, 'task')}, {workers.cpu:g} CPU, {workers.memory:.3g} GiB each",
            f"own nodes, {' or '.join(workers.capacity)}"
            if not workers.others
            else f"own nodes; {_count(len(workers.others), 'more queue')}",
        ],
    )
    yield card(look.WORKER, words, color=look.POD, pile=workers.max > 1)
    words = Card(f"Redis {facts.redis.version}", ["task queue,", f"volume {facts.redis.volume}"])
    yield card(look.REDIS, words, color=look.TASKS, indent=34)
    yield cylinder(Box(look.REDIS.x + 14, look.REDIS.middle.y - 17, 24, 34), color=look.TASKS)
    if facts.keda is not None:
        words = Card("KEDA", [f"asks the database every {facts.keda.seconds} s"])
        yield card(look.KEDA, words, color=look.SCALING)


def worker_count(workers: Workers) -> str:
    """The number of workers, and what it follows if that is not KEDA."""
    count = _count(workers.max, "worker")
    match workers.scaling:
        case "queue":
            return f"{workers.min} to {count}"
        case "cpu":
            return f"{workers.min} to {count}, by CPU"
        case "fixed":
            return count


def arrows(facts: Facts) -> Iterator[str]:
    yield from _dags(facts)
    yield from _tasks(facts)
    yield from _logs()
    if facts.keda is not None:
        x = look.KEDA_X
        yield arrow(
            [Point(x, look.KEDA.y), Point(x, _foot(look.WORKER, facts.workers.max))], look.SCALING
        )
        at = Point(x + 10, look.KEDA.y - 12)
        yield label("number of workers", at, color=look.SCALING, width=165)


def _dags(facts: Facts) -> Iterator[str]:
    x, y, end = look.DAGS_X, look.DAGS_Y, look.TRIGGERER.middle.x
    way = [Point(x, look.GIT.bottom), Point(x, y), Point(end, y), Point(end, look.WORKER.y)]
    yield arrow(way, look.DAGS)
    for box, name in ((look.TRIGGERER, "triggerer"), (look.DAG_PROCESSOR, "dagProcessor")):
        x = box.middle.x
        up = [Point(x, y), Point(x, _foot(box, facts.replicas[name]))]
        yield arrow(up, look.DAGS, rim=False)
    words = f"DAGs, by a relay, every {facts.git.seconds:g} s"
    yield label(words, Point(look.API_SERVER.x, y - 7), color=look.DAGS, width=260)


def _tasks(facts: Facts) -> Iterator[str]:
    x, foot = STATE_X, _foot(look.API_SERVER, facts.replicas["apiServer"])
    yield arrow([Point(x, look.WORKER.y), Point(x, foot)], look.TASKS)
    yield label("task state", Point(x + 8, look.WORKER.y - 8), color=look.TASKS, width=150)
    y = look.REDIS.middle.y
    for left, right in ((look.SCHEDULER, look.REDIS), (look.REDIS, look.WORKER)):
        yield arrow([Point(left.right, y), Point(right.x, y)], look.TASKS)
        at = Point((left.right + right.x) / 2, y - 8)
        yield label("tasks", at, color=look.TASKS, width=60, anchor="middle")


def _logs() -> Iterator[str]:
    left = look.BUCKET.x
    shown = [Point(left, SHOWN_LOGS.y), SHOWN_LOGS, Point(SHOWN_LOGS.x, look.API_SERVER.y)]
    written = [
        [Point(box.right, box.middle.y), Point(left, box.middle.y)]
        for box in (look.TRIGGERER, look.WORKER)
    ]
    for way in (shown, *written):
        yield arrow(way, look.LOGS)
        at = Point(left - 32, way[0].y - 7)
        yield label("logs", at, color=look.LOGS, width=40, anchor="middle")


def _foot(box: Box, number: int) -> float:
    """Where an arrow from below meets that number of pods."""
    return box.bottom + (PILE if number > 1 else 0)


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
