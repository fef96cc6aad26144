"""A number changes in a stack file, and nothing else that stands there."""

import difflib

import pytest
import yaml

from ops import stack_file_edit, stack_files
from ops.shell import OperationError

MAX = ("config", "workers", "max")
ETL = ("config", "queues", "etl", "max")


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        (
            "config:\n  workers:\n    max: 3 # so few\n    cpu: 1\n",
            MAX,
            "config:\n  workers:\n    max: 10 # so few\n    cpu: 1\n",
        ),
        ("config: {workers: {max: 3, cpu: 1}}\n", MAX, "config: {workers: {max: 10, cpu: 1}}\n"),
        (
            "config:\n  workers:\n    cpu: 1 # small\n    # the end\n\n  other: x\n",
            MAX,
            "config:\n  workers:\n    cpu: 1 # small\n    max: 10\n    # the end\n\n  other: x\n",
        ),
        ("config: {workers: {cpu: 1}}\n", MAX, "config: {workers: {cpu: 1, max: 10}}\n"),
        ("config: {workers: {}}\n", MAX, "config: {workers: {max: 10}}\n"),
        (
            "config:\n  a:\n    b: [1, 2]\n# the end\n",
            MAX,
            "config:\n  a:\n    b: [1, 2]\n  workers: {max: 10}\n# the end\n",
        ),
        (
            "config:\n  a: |\n    two\n    lines\n",
            MAX,
            "config:\n  a: |\n    two\n    lines\n  workers: {max: 10}\n",
        ),
        ("config:\n  a:\n    - b: 1", MAX, "config:\n  a:\n    - b: 1\n  workers: {max: 10}\n"),
        ("config:\r\n  a: 1\r\n", MAX, "config:\r\n  a: 1\r\n  workers: {max: 10}\r\n"),
        (
            "config:\n  queues:\n    etl: {max: 6, spot: true}\n    ml: {max: 6}\n",
            ETL,
            "config:\n  queues:\n    etl: {max: 10, spot: true}\n    ml: {max: 6}\n",
        ),
        (
            "config:\n  queues:\n    etl: &small\n      <<: {cpu: 1}\n      max: 6\n",
            ETL,
            "config:\n  queues:\n    etl: &small\n      <<: {cpu: 1}\n      max: 10\n",
        ),
    ],
    ids=[
        "there",
        "there in braces",
        "not there",
        "not there in braces",
        "an empty section",
        "no section",
        "after a text of lines",
        "after a list, at the end of the file",
        "lines as Windows ends them",
        "a queue",
        "a queue with an anchor",
    ],
)
def test_one_number_changes_and_comments_and_layout_stay(before, key, after):
    assert stack_file_edit.with_number(before, key, 10) == after


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  workers: &all {max: 3}\n  queues:\n    etl: *all\n",
        "config:\n  most: &most 3\n  workers:\n    max: *most\n",
        "config:\n  queues: &all\n    etl: {cpu: 1}\n  workers: *all\n",
    ],
    ids=["a section of two names", "a number of two names", "a section by its other name"],
)
def test_a_number_that_is_also_something_else_is_left_to_a_person(text, tmp_path):
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(text)
    said = []

    with (
        pytest.raises(
            OperationError, match=r"Pulumi\.dev\.yaml: config\.workers\.max .* Write 10 there"
        ),
        stack_file_edit.changed(file, {MAX: 10}, said.append),
    ):
        pass
    assert file.read_text() == text


@pytest.mark.parametrize("stack", stack_files.stack_names())
def test_in_every_committed_stack_file_it_is_a_change_of_one_line(stack):
    text = stack_files.stack_path(stack).read_text()
    key = ("config", "airflow-platform:settings", "workers", "max")

    changed = stack_file_edit.with_number(text, key, 17)

    lines = difflib.unified_diff(text.splitlines(), changed.splitlines(), n=0, lineterm="")
    assert [line for line in lines if line.startswith("+") and line != "+++ "] == ["+      max: 17"]
    assert yaml.safe_load(changed)["config"]["airflow-platform:settings"]["workers"]["max"] == 17


def test_the_file_is_as_it_was_when_what_follows_fails(tmp_path):
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_bytes(b"config: {workers: {max: 3}}\r\n")
    said = []

    def work():
        with stack_file_edit.changed(file, {MAX: 10, ("config", "workers", "min"): 2}, said.append):
            assert file.read_bytes() == b"config: {workers: {max: 10, min: 2}}\r\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert file.read_bytes() == b"config: {workers: {max: 3}}\r\n"
    assert said == ["Pulumi.dev.yaml is as it was"]


def test_the_file_stays_changed_when_all_goes_well(tmp_path):
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config: {workers: {max: 3}}\n")

    with stack_file_edit.changed(file, {MAX: 10}, print):
        pass
    assert file.read_text() == "config: {workers: {max: 10}}\n"
