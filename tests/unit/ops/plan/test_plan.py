import difflib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pulumi
import pytest
import yaml

from ops import stack_files
from ops.__main__ import main
from ops.docs import expected_plans
from ops.plan import fake_cloud, report, values
from settings.versions import AIRFLOW_CHART

ROOT = Path(__file__).parents[4]
SETTINGS = "airflow-platform:settings"
STACKS = stack_files.stack_names()
run_stack = stack_files.run_stack


@cache
def _run_mine(program, stack_file):
    """Tests that write the same stack share its run."""
    return run_stack("mine")


@pytest.fixture
def plan(monkeypatch, capsys):
    """Run the command: its exit code, and what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ops", "plan", *arguments])
        code = main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def committed_plan(plan, stack, monkeypatch):
    """The same for a committed stack, whose program other tests have run already."""

    def run(name, *form):
        made = stack(name)
        monkeypatch.setattr(stack_files, "run_stack", {name: made}.__getitem__)
        return plan("--stack", name, *form)

    return run


@pytest.fixture
def stack_file(monkeypatch, tmp_path):
    """A checkout that has one stack of its own, `mine`; returns what writes its file."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(stack_files, "ROOT", tmp_path)
    path, program = tmp_path / "Pulumi.mine.yaml", tmp_path / "__main__.py"

    def run_mine(stack):
        return _run_mine(program.read_text(), path.read_bytes())

    monkeypatch.setattr(stack_files, "run_stack", run_mine)

    def write(given):
        if isinstance(given, bytes):
            path.write_bytes(given)
        else:
            path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        return path

    return write


def config_of(stack):
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def test_every_stack_has_an_expected_plan_and_no_other_has():
    files = sorted(path.stem for path in (ROOT / expected_plans.FOLDER).glob("*.txt"))

    assert files == STACKS, f"run `make docs`, delete {expected_plans.FOLDER}/ of deleted stacks"


@pytest.mark.parametrize("name", STACKS)
def test_the_plan_of_a_stack_is_the_expected_one(committed_plan, name):
    expected = (ROOT / expected_plans.FOLDER / f"{name}.txt").read_text()

    code, out, err = committed_plan(name)

    assert (code, err) == (0, "")
    if out != expected:
        changed = difflib.unified_diff(
            expected.splitlines(), out.splitlines(), "expected", "now", n=0
        )
        shown = "\n".join(line[:200] for line in [*changed][:30])
        pytest.fail(
            f"the plan of {name} has changed: run `make docs` and review the diff\n{shown}",
            pytrace=False,
        )


@pytest.mark.parametrize("name", STACKS)
def test_the_plan_shows_every_resource_once_and_marks_what_is_protected(stack, name):
    declaration, settings = stack(name)

    first, *lines = report.text(report.make(name, settings, declaration))
    tree = [line.split("  ") for line in lines[: lines.index("")]]
    shown = sorted(next(filter(None, line)).partition(" ")[2] for line in tree)
    plain = sorted(r.name + " [protected]" * r.protect for r in declaration.resources.values())
    assert first == f"{name}: {len(declaration.resources)} resources"
    assert shown == plain


@pytest.mark.parametrize("name", STACKS)
def test_the_plan_for_machines_is_json_with_the_same_facts(committed_plan, name):
    def no_json(constant):
        pytest.fail(f"{constant} is no JSON")

    code, out, err = committed_plan(name, "--json")
    text = (ROOT / expected_plans.FOLDER / f"{name}.txt").read_text()
    made = json.loads(out, parse_constant=no_json)

    assert (code, err) == (0, "")
    assert (made["stack"], made["broken_rules"]) == (name, [])
    for resource in made["resources"]:
        assert (f" {resource['name']} [protected]" in text) is resource["protect"]
    assert made["chart_values"]["executor"] == "CeleryExecutor"
    assert made["exports"]["dagsRepository"] == config_of(name)[SETTINGS]["dags"]["repo"]
    for limit in made["limits"]:
        assert f"\n  {limit['name']}: {limit['needed']} of {limit['available']} (" in text


def test_machines_see_what_a_resource_waits_for_and_where_it_stands(committed_plan):
    _, out, _ = committed_plan("prod", "--json")
    resources = {r["urn"]: r for r in json.loads(out)["resources"]}
    (release,) = [r for r in resources.values() if r["name"] == "airflow-release"]

    assert resources[release["parent"]]["name"] == "airflow"
    assert release["type"] == "kubernetes:helm.sh/v3:Release"
    assert "airflow-secrets-metadata" in {resources[urn]["name"] for urn in release["depends_on"]}
    assert release["inputs"]["version"] == AIRFLOW_CHART.version


SECRET_NAMES = [
    *("fernet_key", "api_secret_key", "jwt_secret", "admin_password"),
    *("database_password", "redis_password", "git_token", "git_ssh_key"),
]
TOKEN = {"repo": "https://github.com/example/dags.git", "auth": {"kind": "token"}}
SSH = {
    "repo": "git@github.com:example/dags.git",
    "auth": {"kind": "ssh", "known_hosts": "github.com ssh-ed25519 AAAA"},
}


@pytest.fixture
def printed(plan, monkeypatch):
    """All that both forms of a plan print, and what the Kubernetes Secrets of that plan hold."""

    def run(stack):
        monkeypatch.setattr(stack_files, "run_stack", cache(run_stack))
        out = "".join(plan("--stack", stack, *form)[1] for form in ([], ["--json"]))
        declaration, _ = stack_files.run_stack(stack)
        secrets = declaration.all("kubernetes:core/v1:Secret")
        return out, str([kept.value for s in secrets for kept in s.inputs["stringData"].values()])

    return run


@pytest.mark.parametrize(
    ("base", "dags"), [("local", SSH), ("prod", TOKEN)], ids=["local-ssh", "prod-token"]
)
def test_the_plan_shows_no_configured_secret(printed, stack_file, base, dags):
    config = config_of(base)
    config[SETTINGS]["dags"] = dags
    for name in SECRET_NAMES:
        config[f"airflow-platform:{name}"] = {"secure": "v1:cipher"}
    stack_file({"config": config})

    out, hidden = printed("mine")

    assert "decrypted-" in hidden, "the secrets went into the program"
    assert "decrypted-" not in out
    assert out.count("[secret]") > 10


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_the_plan_shows_no_generated_secret(printed, monkeypatch, stack):
    kind = "random:index/randomPassword:RandomPassword"
    monkeypatch.setitem(fake_cloud.COMPUTED, kind, lambda *_: {"result": "canary"})

    out, hidden = printed(stack)

    assert hidden.count("canary") > 5, "the secrets went into the program"
    assert "canary" not in out


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_broken_rule_is_listed_and_fails_the_command(plan, stack_file, form):
    config = config_of("prod")
    config["aws:defaultTags"]["tags"]["stack"] = "mine"
    program = stack_file({"config": config}).with_name("__main__.py")
    stray = 'import pulumi_kubernetes as k8s\nk8s.core.v1.ConfigMap("stray", data={})\n'
    program.write_text(program.read_text() + stray)

    code, out, err = plan("--stack", "mine", *form)

    assert (code, err) == (1, "")
    assert (
        "explicit-kubernetes-provider: stray: the resource uses the default Kubernetes provider. "
        in out
    )
    if not form:
        assert "Broken rules: 1" in out.splitlines()


WORKERS = f"config: {{{SETTINGS}: {{workers: %s}}}}"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("config: [", "Pulumi.mine.yaml: is not YAML"),
        (
            f"config:\n  {SETTINGS}:\n    queues:\n      etl: {{max: 1}}\n      etl: {{max: 2}}\n",
            f"  {SETTINGS}.queues.etl: stands in line 4 and in line 5; keep one",
        ),
        (
            "config: {a: 1}\nconfig: {}",
            "Pulumi.mine.yaml:\n  config: stands in line 1 and in line 2",
        ),
        ("\tconfig:", "Pulumi.mine.yaml: is not YAML"),
        ("config: !!python/object:os.system {}", "Pulumi.mine.yaml: is not YAML"),
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
        ("text", "Pulumi.mine.yaml"),
        ("[1]", "Pulumi.mine.yaml"),
        ("config: text", "Pulumi.mine.yaml"),
        ("config: [1]", "Pulumi.mine.yaml"),
        ("config: {a: ä}".encode("latin-1"), "Pulumi.mine.yaml"),
    ],
)
def test_a_broken_stack_file_is_one_message_for_its_author(plan, stack_file, given, complaint):
    stack_file(given)

    code, out, err = plan("--stack", "mine")
    assert (code, out) == (1, "")
    assert complaint in err
    assert "Traceback" not in err


def test_a_mistake_between_sections_stops_the_plan_as_well(plan, stack_file):
    config = config_of("prod")
    config[SETTINGS]["workers"]["max"] = 500
    stack_file({"config": config})

    code, _, err = plan("--stack", "mine")
    assert code == 1
    assert f"{SETTINGS}.database: accepts 811 connections" in err


def test_a_missing_secret_is_asked_for_by_name(plan, stack_file):
    config = config_of("prod")
    config[SETTINGS]["dags"] = TOKEN
    stack_file({"config": config})

    code, _, err = plan("--stack", "mine")
    assert code == 1
    assert "airflow-platform:git_token" in err


def test_machines_get_the_mistakes_as_json(plan, stack_file):
    stack_file(WORKERS % "{maks: 3}")

    code, out, err = plan("--stack", "mine", "--json")
    made = json.loads(out)
    assert (code, made["stack"]) == (1, "mine")
    assert made["mistakes"] == err.splitlines()
    assert f"  {SETTINGS}.workers.maks: is not a known setting" in made["mistakes"]


@pytest.mark.parametrize("name", ["nowhere", "", "../prod", "*"])
def test_a_stack_without_a_file_is_told_which_stacks_there_are(plan, name):
    code, out, err = plan("--stack", name)

    assert (code, out) == (1, "")
    assert "no such stack file; there are dev, local, prod, staging" in err


def test_the_command_says_which_stacks_it_knows(plan, capsys):
    with pytest.raises(SystemExit) as ended:
        plan("--help")

    assert ended.value.code == 0
    assert "one of dev, local, prod, staging" in capsys.readouterr().out


def test_a_mistake_of_the_program_is_not_taken_for_one_of_the_user(plan, stack_file):
    program = stack_file({"config": config_of("local")}).with_name("__main__.py")
    program.write_text("raise ValueError('a bug')")

    with pytest.raises(ValueError, match="a bug"):
        plan("--stack", "mine")


def test_a_stack_file_is_read_as_the_pulumi_command_reads_it(stack_file):
    given = {"a:text": "x", "a:map": {"b": [1]}, "a:number": 3, "a:on": True}
    stack_file({"config": {**given, "a:secret": {"secure": "v1:cipher"}}})

    assert sorted(stack_files.read_stack("mine")) == [
        ("a:map", '{"b": [1]}', False),
        ("a:number", "3", False),
        ("a:on", "true", False),
        ("a:secret", "decrypted-a:secret", True),
        ("a:text", "x", False),
    ]


def test_chart_values_are_merged_as_helm_does():
    base = {"keep": 1, "map": {"a": 1, "b": {"c": 1}}, "list": [1, 2], "map-to-text": {"a": 1}}
    over = {"map": {"b": {"d": 2}}, "list": [3], "map-to-text": "x", "new": {}}

    assert values.merge(base, over) == {
        "keep": 1,
        "map": {"a": 1, "b": {"c": 1, "d": 2}},
        "list": [3],
        "map-to-text": "x",
        "new": {},
    }
    assert base["map"] == {"a": 1, "b": {"c": 1}}, "the files stay as they were read"


def test_chart_values_are_the_files_with_the_wired_values_on_top(stack):
    declaration, _ = stack("prod")
    merged = values.of_airflow(declaration)

    assert values.at(merged, "executor") == "CeleryExecutor", "values/airflow.yaml"
    assert values.at(merged, "apiServer.podDisruptionBudget.enabled") is True, "values/aws.yaml"
    assert values.at(merged, "apiServer.replicas") == 2, "the settings"
    assert values.at(merged, "apiServer.no.such.value") is None


def test_a_stack_that_could_not_be_read_leaves_the_next_plan_alone(plan, stack_file):
    stack_file(WORKERS % "{maks: 3}")
    plan("--stack", "mine")
    stack_file({"config": config_of("local")})

    code, out, _ = plan("--stack", "mine")
    assert code == 0
    assert pulumi.runtime.get_root_resource() is None
    assert "Broken rules: none" in out


IMPORT_ALL = """
import importlib, json, os, sys
from pathlib import Path
import pulumi, pulumi_aws, pulumi_eks, pulumi_kubernetes, pulumi_random, pydantic, yaml
root, seen, names = Path.cwd(), [], []
OUTSIDE = (
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork",
)
def watch(event, args):
    if event in OUTSIDE:
        seen.append(event)
    if event == "open" and isinstance(args[0], (str, os.PathLike)):
        path = Path(args[0])
        ours = path.is_relative_to(root) and not path.is_relative_to(root / ".venv")
        if args[2] & (os.O_WRONLY | os.O_RDWR) or ours and path.suffix not in (".py", ".pyc"):
            seen.append(f"open {path}")
sys.addaudithook(watch)
for path in sorted(root.glob("*.py")) + [
    path
    for folder in ("settings", "components", "policies", "ops")
    for path in sorted(root.glob(f"{folder}/**/*.py"))
]:
    if path.name != "__main__.py":
        names.append(".".join(path.relative_to(root).with_suffix("").parts))
        importlib.import_module(names[-1].removesuffix(".__init__"))
print(json.dumps([names, seen]))
"""


# Another process, shared by three tests: it starts and imports for seconds.
MANY_THINGS = f"""{IMPORT_ALL}
import contextlib, io, runpy
from ops.docs import expected_plans
from ops.plan import policy_report
class Day(policy_report.date):
    today = classmethod(lambda cls: expected_plans.DAY)
policy_report.date = Day
for arguments in (["nowhere"], ["prod", "--json"]):
    sys.argv = ["ops", "plan", "--stack", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("ops", run_name="__main__")
        except SystemExit as ended:
            print(json.dumps([ended.code, out.getvalue(), err.getvalue()]), file=sys.__stdout__)
"""


@pytest.fixture(scope="module")
def process():
    """What another process prints, which hashes texts differently: a JSON document for each test."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-B", "-c", MANY_THINGS],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    imported, nowhere, prod = map(json.loads, ended.stdout.splitlines())
    return {"imported": imported, "nowhere": nowhere, "prod": prod}


def test_importing_a_module_does_nothing_but_import(process):
    names, seen = process["imported"]
    assert {"settings.loading", "components.platforms", "ops.lifecycle"} <= set(names)
    assert seen == [], "no network, no process, no file: a test or an editor may import anything"


def test_the_command_ends_as_a_command_should(process):
    known = ", ".join(STACKS)
    complaint = f"Pulumi.nowhere.yaml: no such stack file; there are {known}\n"

    assert process["nowhere"] == [1, "", complaint]


def test_another_process_prints_the_same(process, committed_plan):
    """The text too: the expected plans were written by another process."""
    code, out, err = process["prod"]

    assert (code, err) == (0, "")
    assert len(out) > 50_000, "the plan was printed"
    assert out == committed_plan("prod", "--json")[1], "a diff of two plans must show changes only"


ETL = {"min": 0, "max": 6, "concurrency": 2, "memory_mb": 8192, "spot": True}


@pytest.fixture
def with_queues(stack_file):
    """Writes Pulumi.mine.yaml: a committed stack with some queues."""

    def write(stack, queues):
        config = config_of(stack)
        config[SETTINGS]["queues"] = queues
        if "aws:defaultTags" in config:
            config["aws:defaultTags"]["tags"]["stack"] = "mine"
        stack_file({"config": config})

    return write


def test_every_queue_has_its_line_in_the_plan_and_its_part_of_the_limits(plan, with_queues):
    with_queues(
        "dev", {"etl": ETL, "slow": {"max": 2, "scaling": "fixed", "architecture": "arm64"}}
    )

    code, out, err = plan("--stack", "mine")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    queues = lines[lines.index("Queues") + 1 :][:3]
    assert [line.split(":")[0] for line in queues] == ["  default", "  etl", "  slow"]
    assert queues[1] == (
        "  etl: 0 to 6 workers by waiting tasks, each 2 tasks, 1 CPU, 8192 MiB; at most 12 slots, 6 CPU, "
        "48 GiB, 18 database connections; own nodes, spot or on-demand, amd64, 1 or more for 6.12 CPU and "
        "48.5625 GiB with sidecars; 600 s to finish"
    )
    assert "slow: 2 workers, each 8 tasks" in queues[2]
    assert "own nodes, on-demand, arm64" in queues[2]
    assert (
        "  worker slots: 60 of 60 (4 workers x 8 tasks + 6 workers x 2 tasks + 2 workers x 8 tasks; "
        "parallelism 60 x 1 scheduler(s))"
    ) in lines
    assert any(line.startswith("  database connections: 151 of 405 (") for line in lines)


def test_machines_see_the_queues_too(plan, with_queues):
    with_queues("prod", {"etl": ETL})

    made = json.loads(plan("--stack", "mine", "--json")[1])

    default, etl = made["queues"]
    assert (default["name"], default["slots"], default["connections"]) == ("default", 160, 180)
    assert etl.items() >= ETL.items()
    assert (etl["slots"], etl["connections"]) == (12, 18)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_what_the_program_warns_of_is_in_the_plan_and_stops_nothing(plan, with_queues, form):
    with_queues("prod", {"etl": ETL})

    code, out, err = plan("--stack", "mine", *form)

    assert (code, err) == (0, ""), "once, and where the other warnings are"
    assert out.count(f"{SETTINGS}.queues.etl.spot: a spot node is reclaimed 120 seconds") == 1
    if not form:
        assert "Warnings: 1" in out.splitlines()


@pytest.fixture
def dags(tmp_path):
    def write(text):
        folder = tmp_path / "flows"
        (folder / "dags").mkdir(parents=True)
        (folder / "platform.yaml").write_text(text)
        return folder

    return write


def test_a_queue_that_dags_may_use_and_nobody_serves_is_told(plan, with_queues, dags):
    with_queues("prod", {"etl": ETL})
    flows = dags("queues: [default, etl, gpu]")

    code, out, _ = plan("--stack", "mine", "--dags", str(flows))

    assert code == 0
    assert (
        f"  {flows}/platform.yaml: queues: has 'gpu', and no worker of mine takes tasks from it: they would "
        "wait for ever. Add queues.gpu to Pulumi.mine.yaml, or take it out there"
    ) in out.splitlines()
    assert "'etl'" not in out


def test_a_queue_that_is_served_and_that_authors_are_not_told_of_is_told(plan, with_queues, dags):
    with_queues("prod", {"etl": ETL | {"spot": False}})
    flows = dags("queues: [default]")

    _, out, _ = plan("--stack", "mine", "--dags", str(flows))

    assert f"{flows}/platform.yaml: queues: lacks 'etl', which mine serves" in out
    assert "Warnings: 1" in out.splitlines()


def test_the_git_server_of_a_stack_is_compared_with_what_it_starts_with(plan, with_queues):
    with_queues("local", {"etl": {}})

    _, out, _ = plan("--stack", "mine")

    assert "dags-repo-example/platform.yaml: queues: lacks 'etl', which mine serves" in out


@pytest.mark.parametrize("text", ["queues: [", "queues: etl", "[]", "", "queues: {a: 1}"])
def test_a_broken_file_of_dag_authors_is_theirs_to_mend(committed_plan, dags, text):
    code, out, err = committed_plan("prod", "--dags", str(dags(text)))

    assert (code, err) == (0, "")
    assert "Warnings: none" in out.splitlines()
