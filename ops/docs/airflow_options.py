"""`python -m ops.docs.airflow_options FOLDER...`: writes settings/airflow_options.json.

Run it after a change of `AIRFLOW_VERSIONS` in settings/versions.py, with a folder for each minor
version, the oldest one first:

  pip install --no-deps --target FOLDER apache-airflow-core==VERSION apache-airflow-providers-...

for the newest of every provider that the official image or a stack may have: `PROVIDERS`.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from settings.options import FILE
from settings.versions import AIRFLOW

PROVIDERS = (
    *("amazon", "apache-hive", "apache-kafka", "celery", "cncf-kubernetes", "common-io", "edge3"),
    *("elasticsearch", "fab", "git", "keycloak", "microsoft-azure", "odbc", "openlineage"),
    *("opensearch", "postgres", "smtp", "snowflake", "standard"),
)


def from_folders(folders: Sequence[Path]) -> dict[str, Any]:
    """Content of settings/airflow_options.json: names only, without descriptions."""
    options: dict[str, set[str]] = {}
    sensitive: set[str] = set()
    added: dict[str, str] = {}
    moved: dict[str, str | None] = {}
    still_read: dict[str, str] = {}
    for folder in folders:
        for section, option, is_sensitive in _described(folder):
            known = options.setdefault(section, set())
            if folder != folders[0] and option not in known:
                added[f"{section}.{option}"] = _minor(folder)
            known.add(option)
            if is_sensitive:
                sensitive.add(f"{section}.{option}")
        renamed = _still_read(folder)
        moved = {**_changed(folder), **renamed, **moved}
        still_read |= renamed
    present = {f"{section}.{option}" for section in options for option in options[section]}

    def today(name: str | None) -> str | None:
        return name if name is None or name in present else today(moved.get(name))

    return {
        "version": AIRFLOW,
        "provider_sections": sorted(options.keys() - _core_sections(folders)),
        "options": {section: sorted(names) for section, names in options.items()},
        "sensitive": sorted(sensitive),
        "added": added,
        "moved": {old: today(new) for old, new in moved.items() if old not in present},
        "still_read": sorted(
            old for old, new in still_read.items() if new in present and old not in present
        ),
    }


def _minor(folder: Path) -> str:
    """Minor version of Airflow in a folder, such as 3.2."""
    (version,) = re.findall(r'^__version__ = "(\d+\.\d+)', _core(folder, "__init__.py"), re.M)
    return version


def _core(folder: Path, name: str) -> str:
    return (folder / "airflow" / name).read_text()


def _core_options(folder: Path) -> dict[str, Any]:
    return yaml.safe_load(_core(folder, "config_templates/config.yml"))


def _core_sections(folders: Sequence[Path]) -> set[str]:
    return {section for folder in folders for section in _core_options(folder)}


def _described(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Section and name of every option of Airflow and the providers, and whether it is a secret."""
    providers = sorted(folder.glob("airflow/providers/**/get_provider_info.py"))
    for sections in (
        _core_options(folder),
        *(_returned(file).get("config") or {} for file in providers),
    ):
        for section, content in sections.items():
            for option, described in content["options"].items():
                yield section, option, described.get("sensitive", False)


def _returned(file: Path) -> dict[str, Any]:
    """The dictionary that `get_provider_info` returns."""
    (returned,) = [
        node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Return)
    ]
    assert returned.value is not None, f"{file} returns nothing"  # noqa: S101
    return ast.literal_eval(returned.value)


def _still_read(folder: Path) -> dict[str, str]:
    """Former names that Airflow reads if the new name is not set."""
    parser = ast.parse(_core(folder, "_shared/configuration/parser.py"))
    for node in ast.walk(parser):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "deprecated_options":
            assert node.value is not None, "deprecated_options is empty"  # noqa: S101
            pairs = ast.literal_eval(node.value)
            return {f"{old[0]}.{old[1]}": ".".join(new) for new, old in pairs.items()}
    raise LookupError(f"{folder}: no deprecated_options; Airflow has moved the list")


def _changed(folder: Path) -> dict[str, str | None]:
    """Options of Airflow 2 that Airflow 3 renamed or removed, as `airflow config lint` lists them."""
    command = ast.parse(_core(folder, "cli/commands/config_command.py"))
    found: dict[str, str | None] = {}
    for node in ast.walk(command):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ConfigChange":
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            kept = "was_removed" in given and not ast.literal_eval(given["was_removed"])
            if "renamed_to" in given:
                found[_parameter(given["config"])] = _parameter(given["renamed_to"])
            elif not kept and "remove_if_equals" not in given:
                found[_parameter(given["config"])] = None
    return found


def _parameter(node: ast.expr) -> str:
    assert isinstance(node, ast.Call)  # noqa: S101
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return ".".join(ast.literal_eval(each) for each in given)


def text(content: dict[str, Any]) -> str:
    """One line per section, so that a new version has a short diff."""

    def block(value: Any) -> str:
        if not isinstance(value, dict):
            return json.dumps(value)
        lines = [f"  {json.dumps(key)}: {json.dumps(value[key])}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + "\n }"

    lines = [f" {json.dumps(key)}: {block(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    FILE.write_text(text(from_folders([Path(argument) for argument in arguments])))
    print(f"wrote settings/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
