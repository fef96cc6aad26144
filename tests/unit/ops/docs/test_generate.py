import pytest

from ops.docs import generate

PLAN = "tests/unit/plans/mine.txt"


@pytest.fixture(autouse=True)
def plans(monkeypatch):
    """A short plan: test_plan.py checks the plans of the stacks."""
    plans = {PLAN: "mine: 1 resources\n"}
    monkeypatch.setattr(generate, "expected_plans", lambda: plans)
    return plans


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose generated files are current."""
    (tmp_path / "docs").mkdir()
    generate.main([], tmp_path)
    return tmp_path


def test_generated_files_are_committed(plans):
    plans.clear()
    assert generate.main(["--check"]) == 0, "run `make docs` and commit what it writes"


def test_a_second_run_writes_nothing(checkout, capsys):
    capsys.readouterr()

    assert generate.main([], checkout) == 0
    assert generate.main(["--check"], checkout) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name", ["settings.schema.json", "docs/settings.md", "docs/policies.md", PLAN]
)
def test_a_check_names_the_stale_file_and_changes_nothing(checkout, capsys, name):
    (checkout / name).write_text("stale\n")
    capsys.readouterr()

    assert generate.main(["--check"], checkout) == 1
    assert capsys.readouterr().err == f"{name} is stale: run `make docs`\n"
    assert (checkout / name).read_text() == "stale\n"


def test_a_missing_file_is_stale(checkout):
    (checkout / "docs/policies.md").unlink()

    assert generate.main(["--check"], checkout) == 1
    assert not (checkout / "docs/policies.md").exists()
