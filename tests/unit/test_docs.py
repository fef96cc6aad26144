import pytest

from docs import generate, settings_table

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


@pytest.fixture
def checkout(tmp_path):
    """A folder with a README that has markers and nothing between them."""
    (tmp_path / "docs").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text(f"# Ours\n\n{BEGIN}\n{END}\n\nThe end.\n")
    return tmp_path


@pytest.fixture(autouse=True)
def plans(monkeypatch):
    """One small plan: test_plan.py compares those of the stacks."""
    made = {"tests/unit/plans/mine.txt": "mine: 1 resources\n"}
    monkeypatch.setattr(generate, "expected_plans", lambda: made)
    return made


def test_what_is_generated_is_committed(plans):
    plans.clear()
    assert generate.main(["--check"]) == 0, "run `make docs` and commit what it writes"


def test_the_tables_stand_between_the_markers_and_nothing_else_changes(checkout):
    assert generate.main([], checkout) == 0

    written = (checkout / "README.md").read_text()
    before, _, rest = written.partition(BEGIN)
    inside, _, after = rest.partition(END)
    assert (before, after) == ("# Ours\n\n", "\n\nThe end.\n")
    assert settings_table.settings_table() in inside
    assert settings_table.secrets_table() in inside


def test_a_second_run_has_nothing_to_write(checkout, capsys):
    generate.main([], checkout)
    written = (checkout / "README.md").read_text()
    capsys.readouterr()

    assert generate.main([], checkout) == 0
    assert generate.main(["--check"], checkout) == 0
    assert capsys.readouterr().out == ""
    assert (checkout / "README.md").read_text() == written


@pytest.mark.parametrize("name", ["README.md", "docs/policies.md", "tests/unit/plans/mine.txt"])
def test_a_check_names_the_stale_file_and_changes_nothing(checkout, capsys, name):
    generate.main([], checkout)
    stale = (
        (checkout / name)
        .read_text()
        .replace("workers.max", "workers.most")
        .replace("| no |", "| maybe |")
        .replace("1 resources", "2 resources")
    )
    (checkout / name).write_text(stale)
    capsys.readouterr()

    assert generate.main(["--check"], checkout) == 1
    assert capsys.readouterr().err == f"{name} is stale: run `make docs`\n"
    assert (checkout / name).read_text() == stale


def test_a_check_names_a_missing_file(checkout, capsys):
    generate.main([], checkout)
    (checkout / "docs/policies.md").unlink()

    assert generate.main(["--check"], checkout) == 1
    assert not (checkout / "docs/policies.md").exists()


@pytest.mark.parametrize(
    ("readme", "complaint"),
    [
        (None, "README.md: is missing"),
        ("# Ours\n", "README.md: needs"),
        (f"{BEGIN}\n", "README.md: needs"),
        (f"{END}\n{BEGIN}\n", "README.md: needs"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "README.md: needs"),
        (f"{BEGIN}\n{END}\n{END}\n", "README.md: needs"),
    ],
)
def test_without_its_markers_nothing_is_written_and_one_line_says_so(checkout, readme, complaint):
    path = checkout / "README.md"
    path.unlink() if readme is None else path.write_text(readme)
    with pytest.raises(SystemExit, match=complaint) as error:
        generate.main([], checkout)
    assert len(str(error.value).splitlines()) == 1
    assert not (checkout / "docs/policies.md").exists()
    assert (path.read_text() if path.exists() else None) == readme
