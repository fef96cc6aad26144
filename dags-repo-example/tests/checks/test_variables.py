import pytest

from checks.variables import Value, read, resolve

VARIABLES = {"A": Value("1", ".env", 7), "EMPTY": Value("", ".env", 8)}


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("$A and ${A}", "1 and 1"),
        ("$$A", "$A"),
        ("$MISSING${MISSING}.", "."),
        ("${A:-x}${A-x}", "11"),
        ("${MISSING:-x}${MISSING-x}", "xx"),
        ("${EMPTY:-x}${EMPTY-y}", "x"),
        ("${A:+x}${A+x}", "xx"),
        ("${MISSING:+x}${MISSING+x}", ""),
        ("${EMPTY:+x}${EMPTY+y}", "y"),
        ("${A:?is needed}", "1"),
        ("${MISSING:?is needed}", ""),
        ("100 $ and {A}", "100 $ and {A}"),
    ],
)
def test_variables_are_interpolated_like_docker_compose_does(text, resolved):
    assert resolve(text, VARIABLES, "compose.yaml", 3).text == resolved


def test_a_value_has_its_own_line_and_those_of_its_variables():
    value = resolve("${A}", VARIABLES, "compose.yaml", 3)
    assert (value.path, value.line) == ("compose.yaml", 3)
    assert value.origins == (VARIABLES["A"],)


def test_every_variable_of_a_file_has_its_line(tmp_path):
    path = tmp_path / ".env"
    path.write_text('# comment\n\nA=1\nWITHOUT_VALUE\n\n\nexport B="two words" # why\nC=${A}3\n')
    found, mistakes = read(path)
    assert mistakes == []
    assert {name: (value.text, value.line) for name, value in found.items()} == {
        "A": ("1", 3),
        "B": ("two words", 7),
        "C": ("13", 8),
    }
