import pytest

from tests.unit.settings.stacks import EKS


@pytest.mark.parametrize(
    "workers",
    [{"min": 4, "max": 4}, {"min": 0, "scaling": "queue"}, {"min": 1, "scaling": "cpu"}],
)
def test_a_valid_minimum_is_accepted(mistakes, workers):
    assert mistakes({**EKS, "workers": workers}) == []


@pytest.mark.parametrize(
    ("workers", "line"),
    [
        ({"min": 5, "max": 4}, "min 5 must not exceed max 4"),
        (
            {"min": 0, "scaling": "cpu"},
            "scaling: cpu needs min >= 1; only queue can start from 0",
        ),
        (
            {"min": 0, "scaling": "fixed"},
            "scaling: fixed needs min >= 1; only queue can start from 0",
        ),
    ],
)
def test_an_invalid_minimum_is_refused(mistakes, workers, line):
    assert mistakes({**EKS, "workers": workers}) == [f"workers: {line}"]


@pytest.mark.parametrize("fits", [0, 128, 2432])
@pytest.mark.parametrize("wrong", [127, 2433])
def test_the_memory_of_a_task_fits_its_worker(mistakes, fits, wrong):
    assert mistakes({**EKS, "workers": {"task_memory_mb": fits}}) == []
    assert mistakes({**EKS, "workers": {"task_memory_mb": wrong}}) == [
        "workers: task_memory_mb should be 0, or from 128, which a task without data needs, to 2432, "
        f"which memory_mb 3072 leaves for tasks; found {wrong}"
    ]


def test_memory_covers_every_slot(mistakes):
    enough = {"concurrency": 8, "memory_mb": 1152}

    assert mistakes({**EKS, "queues": {"etl": enough}}) == []
    assert mistakes({**EKS, "queues": {"etl": enough | {"memory_mb": 1151}}}) == [
        "queues.etl: memory_mb 1151 is too low for concurrency 8: a worker needs at least 1152, plus "
        "the data of its tasks; raise memory_mb, or lower concurrency"
    ]


def test_a_queue_has_the_defaults_of_workers(load):
    etl = {"max": 6, "memory_mb": 8192, "spot": True}
    given = load({**EKS, "queues": {"etl": etl}})

    assert given.queues["etl"].model_dump() == {**given.workers.model_dump(), **etl}
    assert list(given.all_queues) == ["default", "etl"]
    assert given.all_queues["default"] is given.workers


@pytest.mark.parametrize(
    "name", ["etl", "e", "high-memory", "gpu2", "kind", "max", "a" * 30, "workers"]
)
def test_a_queue_may_have_any_kubernetes_name(load, name):
    assert list(load({**EKS, "queues": {name: {}}}).queues) == [name]


@pytest.mark.parametrize(
    "name", ["ETL", "high_memory", "a b", "1st", "-a", "a-", "a" * 31, "ä", "", "a.b", "a,b"]
)
def test_an_invalid_queue_name_is_refused_with_an_example(mistakes, name):
    (line,) = mistakes({**EKS, "queues": {name: {}}})

    assert line == (
        f"queues.{name}: should be a Kubernetes name: up to 30 lowercase letters, digits and inner "
        f"hyphens, starting with a letter, such as etl or high-memory, got {name!r}"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("default", "is reserved: the section workers configures this queue"),
        (
            "default-queue",
            "is reserved for the workers of the section workers; choose another name",
        ),
    ],
)
def test_a_reserved_queue_name_is_refused(mistakes, name, reason):
    assert mistakes({**EKS, "queues": {name: {}}}) == [f"queues.{name}: {reason}, got {name!r}"]


def test_names_made_from_a_queue_fit_kubernetes_and_iam():
    longest = "q" * 30

    assert len(f"airflow-workers-{longest}") <= 63, "NodePool name, used as a label value"
    assert len(f"airflow-worker-{longest}") <= 63, "headless Service"
    assert len(f"logs-airflow-worker-{longest}-1234567") <= 64, "IAM role with Pulumi's suffix"
