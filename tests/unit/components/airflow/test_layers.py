import pulumi
import pytest

from components.airflow.layers import on_files
from ops.session import checked_settings
from policies.chart_values import merge, read
from policies.view import at


def wired(given=None, **of_set):
    """Values of the program with one worker set."""
    return merge({"workers": {"celery": {"sets": [{"name": "default", **of_set}]}}}, given or {})


def variable(name, value="1"):
    return {"name": name, "value": value}


def refused(files, values, options=()):
    with pytest.raises(pulumi.RunError) as report:
        on_files(files, values, options)
    return str(report.value).splitlines()


@pytest.mark.parametrize(
    ("path", "of_file", "of_program"),
    [
        ("env", variable("MINE"), variable("THEIRS")),
        ("scheduler.env", variable("MINE"), variable("THEIRS")),
        (
            "secret",
            {"envName": "MINE", "secretName": "a", "secretKey": "k"},
            {"envName": "THEIRS", "secretName": "a", "secretKey": "k"},
        ),
        (
            "volumeMounts",
            {"name": "a", "mountPath": "/mine"},
            {"name": "a", "mountPath": "/theirs"},
        ),
    ],
)
def test_a_list_has_the_entries_of_file_and_program(path, of_file, of_program):
    *parents, last = path.split(".")

    def at_path(entry):
        values = {last: [entry]}
        for key in reversed(parents):
            values = {key: values}
        return values

    merged = on_files({"aws.yaml": at_path(of_file)}, wired(at_path(of_program)), ())

    assert at(merged, path) == [of_file, of_program]


def test_a_list_has_the_entries_of_two_files():
    files = {"airflow.yaml": {"volumes": [{"name": "a"}, {"name": "b", "old": 1}]}}
    files["aws.yaml"] = {"volumes": [{"name": "b", "new": 1}, {"name": "c"}]}

    merged = on_files(files, wired(), ())

    assert merged["volumes"] == [{"name": "a"}, {"name": "b", "new": 1}, {"name": "c"}]


def test_a_worker_set_keeps_what_a_file_gives_all_workers():
    of_file = {"env": [variable("MINE")], "podAnnotations": {"mine": "1"}, "keda": {"x": 1}}
    files = {"local.yaml": {"workers": {"celery": of_file}}}

    merged = on_files(
        files, wired(env=[variable("THEIRS")], podAnnotations={"theirs": "1"}, resources={}), ()
    )

    assert merged["workers"]["celery"] == {
        "sets": [
            {
                "name": "default",
                "env": [variable("MINE"), variable("THEIRS")],
                "podAnnotations": {"mine": "1", "theirs": "1"},
                "resources": {},
            }
        ]
    }


def test_lists_of_workers_in_two_files_reach_every_set():
    def of(name):
        return {"workers": {"celery": {"env": [variable(name)]}}}

    merged = on_files(
        {"airflow.yaml": of("A"), "aws.yaml": of("B")}, wired(env=[variable("C")]), ()
    )

    assert merged["workers"]["celery"]["env"] == [variable("A"), variable("B")]
    (only,) = merged["workers"]["celery"]["sets"]
    assert only["env"] == [variable("A"), variable("B"), variable("C")]


def test_values_without_a_conflict_are_those_of_the_program():
    files = {"airflow.yaml": {"scheduler": {"resources": {"a": 1}}, "args": ["a"], "same": 1}}
    files["aws.yaml"] = {"scheduler": {"resources": {"a": 2}}, "args": ["b"], "gone": None}
    values = wired({"scheduler": {"replicas": 2}, "same": 1, "gone": 3})

    assert on_files(files, values, ()) == values


@pytest.mark.parametrize(
    ("of_file", "of_program", "line"),
    [
        (
            {"scheduler": {"replicas": 3}},
            {"scheduler": {"replicas": 2}},
            "scheduler.replicas: is set by airflow.replicas.scheduler of the stack file; remove it here",
        ),
        (
            {"env": [variable("TWICE", "2")]},
            {"env": [variable("TWICE")]},
            "env.TWICE: is set by airflow.env of the stack file; remove it here",
        ),
        (
            {"apiServer": {"peers": [{"x": 1}]}},
            {"apiServer": {"peers": [{"y": 1}]}},
            "apiServer.peers: is set by the program; remove it here",
        ),
        (
            {"workers": {"celery": {"sets": [{"name": "etl"}]}}},
            {},
            "workers.celery.sets: is set by queues of the stack file; remove it here",
        ),
        (
            {"workers": {"celery": {"replicas": 3}}},
            {"workers": {"celery": {"sets": [{"name": "default", "replicas": 4}]}}},
            "workers.celery.replicas: is set by workers and queues of the stack file; remove it here",
        ),
        (
            {"config": {"core": {"plugins_folder": "/a"}}},
            {"config": {"core": {"plugins_folder": "/b"}}},
            "config.core.plugins_folder: is set by airflow.config of the stack file; remove it here",
        ),
    ],
)
def test_what_the_program_would_replace_is_refused(of_file, of_program, line):
    files = {"airflow.yaml": {"unrelated": 1}, "local.yaml": of_file}

    assert refused(files, wired(of_program)) == ["values/local.yaml:", f"  {line}"]


def test_every_refusal_is_reported_at_once_by_file():
    files = {"airflow.yaml": {"airflowVersion": "3"}, "aws.yaml": {"ingress": {"a": 1}, "x": 1}}

    lines = refused(files, wired({"airflowVersion": "4", "ingress": {"a": 2}, "x": 2}))

    assert [line.partition(": is set")[0] for line in lines] == [
        "values/airflow.yaml:",
        "  airflowVersion",
        "values/aws.yaml:",
        "  ingress.a",
        "  x",
    ]


def test_a_list_without_names_in_two_files_is_refused():
    files = {"airflow.yaml": {"statsd": {"peers": [{"a": 1}]}}}
    files["aws.yaml"] = {"statsd": {"peers": [{"b": 1}]}}

    _, line = refused(files, wired())

    assert line.startswith(
        "  statsd.peers: Helm takes this list instead of the one in an earlier file"
    )


def test_options_of_the_stack_file_override_those_of_values():
    files = {"airflow.yaml": {"config": {"scheduler": {"task_queued_timeout": 1}}}}
    values = wired({"config": {"scheduler": {"task_queued_timeout": 2}}})

    assert on_files(files, values, ["scheduler.task_queued_timeout"]) == values


def test_commands_report_it_before_they_start_pulumi(monkeypatch):
    replicas = {**read("values/local.yaml"), "scheduler": {"replicas": 5}}
    monkeypatch.setattr(
        "components.airflow.release.read",
        lambda path: replicas if path.endswith("local.yaml") else read(path),
    )

    with pytest.raises(pulumi.RunError, match=r"scheduler\.replicas"):
        checked_settings("local")
