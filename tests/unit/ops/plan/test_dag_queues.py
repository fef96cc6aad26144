"""Queues of the DAG repository, compared with those of the stack."""

import pytest

ETL = {"min": 0, "max": 6, "concurrency": 2, "memory_mb": 8192, "spot": True}


@pytest.fixture
def dags(tmp_path):
    def write(text):
        folder = tmp_path / "flows"
        (folder / "dags").mkdir(parents=True)
        (folder / "platform.yaml").write_text(text)
        return folder

    return write


def test_a_queue_without_workers_is_a_warning(plan, with_queues, dags):
    with_queues("prod", {"etl": ETL})
    flows = dags("queues: [default, etl, gpu]")

    code, out, _ = plan("--stack", "mine", "--dags", str(flows))

    assert code == 0
    assert (
        f"  {flows}/platform.yaml: queues: 'gpu' has no workers in mine, so its tasks would never "
        "start. Add queues.gpu to Pulumi.mine.yaml, or remove it from this list"
    ) in out.splitlines()
    assert "'etl'" not in out


def test_a_queue_missing_in_the_dag_repository_is_a_warning(plan, with_queues, dags):
    with_queues("prod", {"etl": ETL | {"spot": False}})
    flows = dags("queues: [default]")

    _, out, _ = plan("--stack", "mine", "--dags", str(flows))

    warnings = out[out.index("\nWarnings: ") :]
    assert f"{flows}/platform.yaml: queues: lacks 'etl' of mine, so `make check`" in warnings


def test_the_seed_of_the_git_server_is_compared(plan, with_queues):
    with_queues("local", {"etl": {}})

    _, out, _ = plan("--stack", "mine")

    assert "dags-repo-example/platform.yaml: queues: lacks 'etl' of mine, so `make check`" in out


@pytest.mark.parametrize("text", ["queues: [", "queues: etl", "[]", "", "queues: {a: 1}"])
def test_an_invalid_platform_file_is_left_to_its_authors(committed_plan, dags, text):
    code, out, err = committed_plan("prod", "--dags", str(dags(text)))

    assert (code, err) == (0, "")
    assert "platform.yaml" not in out
