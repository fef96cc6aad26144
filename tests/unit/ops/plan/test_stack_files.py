"""Invalid stack files: `make plan` reports them."""

import json

import pulumi
import pytest

from ops import stack_files
from tests.unit.ops.plan.conftest import SETTINGS, config_of

WORKERS = f"config: {{{SETTINGS}: {{workers: %s}}}}"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("config: [", "Pulumi.mine.yaml: invalid YAML"),
        (
            f"config:\n  {SETTINGS}:\n    queues:\n      etl: {{max: 1}}\n      etl: {{max: 2}}\n",
            f"  {SETTINGS}.queues.etl: defined in line 4 and in line 5; keep one",
        ),
        (
            "config: {a: 1}\nconfig: {}",
            "Pulumi.mine.yaml:\n  config: defined in line 1 and in line 2",
        ),
        ("\tconfig:", "Pulumi.mine.yaml: invalid YAML"),
        ("config: !!python/object:os.system {}", "Pulumi.mine.yaml: invalid YAML"),
        ("", f"Pulumi.mine.yaml:\n  {SETTINGS}.cluster: is required"),
        ("config:", f"{SETTINGS}.dags: is required"),
        (f"config: {{{SETTINGS}: [1]}}", SETTINGS),
        (f"config: {{{SETTINGS}: text}}", SETTINGS),
        (f"config: {{{SETTINGS}: {{secure: v1:cipher}}}}", SETTINGS),
        (WORKERS % "{maks: 3}", f"  {SETTINGS}.workers.maks: is not a known setting"),
        (WORKERS % "{1: 3}", f"{SETTINGS}.workers.1: is not a known setting"),
        (WORKERS % "{max: .inf}", f"{SETTINGS}.workers.max: Input should be a valid integer"),
        (WORKERS % "[]", f"{SETTINGS}.workers: Input should be a valid dictionary"),
        (WORKERS % "{max: 2024-01-01}", "Pulumi.mine.yaml"),
        ("config: {airflow-platform:admin_pasword: x}", "admin_pasword: is not a known key"),
        ("config: {airflow-platform:git_tokn_sales: x}", "git_tokn_sales: is not a known key"),
        ("text", "Pulumi.mine.yaml"),
        ("[1]", "Pulumi.mine.yaml"),
        ("config: text", "Pulumi.mine.yaml"),
        ("config: [1]", "Pulumi.mine.yaml"),
        ("config: {a: ä}".encode("latin-1"), "Pulumi.mine.yaml"),
    ],
)
def test_an_invalid_stack_file_is_reported_without_traceback(plan, stack_file, given, complaint):
    stack_file(given)

    code, out, err = plan("--stack", "mine")
    assert (code, out) == (1, "")
    assert complaint in err
    assert "Traceback" not in err


def test_the_json_plan_has_the_errors_of_a_stack_file(plan, stack_file):
    stack_file(WORKERS % "{maks: 3}")

    code, out, err = plan("--stack", "mine", "--json")
    printed = json.loads(out)
    assert (code, printed["stack"]) == (1, "mine")
    assert printed["mistakes"] == err.splitlines()
    assert f"  {SETTINGS}.workers.maks: is not a known setting" in printed["mistakes"]


@pytest.mark.parametrize("name", ["nowhere", "", "../prod", "*"])
def test_an_unknown_stack_is_refused_with_the_known_ones(plan, name):
    code, out, err = plan("--stack", name)

    assert (code, out) == (1, "")
    assert "no such stack file. Stacks: dev, local, prod, staging" in err


def test_the_help_lists_the_stacks(plan, capsys):
    with pytest.raises(SystemExit) as ended:
        plan("--help")

    assert ended.value.code == 0
    assert "one of dev, local, prod, staging" in capsys.readouterr().out


def test_a_bug_in_the_program_keeps_its_traceback(plan, stack_file):
    program = stack_file({"config": config_of("local")}).with_name("__main__.py")
    program.write_text("raise ValueError('a bug')")

    with pytest.raises(ValueError, match="a bug"):
        plan("--stack", "mine")


def test_a_stack_file_is_read_like_the_pulumi_cli_reads_it(stack_file):
    given = {"a:text": "x", "a:map": {"b": [1]}, "a:number": 3, "a:on": True}
    stack_file({"config": {**given, "a:secret": {"secure": "v1:cipher"}}})

    assert sorted(stack_files.read_stack("mine")) == [
        ("a:map", '{"b": [1]}', False),
        ("a:number", "3", False),
        ("a:on", "true", False),
        ("a:secret", "decrypted-a:secret", True),
        ("a:text", "x", False),
    ]


def test_a_failed_plan_does_not_affect_the_next_one(plan, stack_file):
    stack_file(WORKERS % "{maks: 3}")
    plan("--stack", "mine")
    stack_file({"config": config_of("local")})

    code, out, _ = plan("--stack", "mine")
    assert code == 0
    assert pulumi.runtime.get_root_resource() is None
    assert "Broken rules: none" in out
