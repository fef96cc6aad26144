import json

import pytest

from ops.docs import airflow_options

CONFIG = "core:\n  options:\n    kept: {}\n    secret_one: {sensitive: true}\n"
PARSER = """\
class Parser:
    deprecated_options: dict[tuple[str, str], tuple[str, str, str]] = {
        ("core", "kept"): ("old", "kept", "3.0"),
        ("old", "kept"): ("older", "kept", "2.0"),
    }
"""
COMMAND = """\
CHANGES = [
    ConfigChange(config=ConfigParameter("core", "gone")),
    ConfigChange(config=ConfigParameter("core", "now_default"), default_change=True, was_removed=False),
    ConfigChange(config=ConfigParameter("core", "if_equal"), remove_if_equals="x"),
    ConfigChange(
        config=ConfigParameter("core", "former"), renamed_to=ConfigParameter("core", option="kept")
    ),
]
"""
PROVIDER = """\
def get_provider_info():
    return {"package-name": "p", "config": {"p": {"options": {"a": {}}}}}
"""


@pytest.fixture
def folder(tmp_path):
    """The site-packages of a small Airflow."""

    def make(version, config):
        files = {
            "__init__.py": f'__version__ = "{version}.1"\n',
            "config_templates/config.yml": config,
            "_shared/configuration/parser.py": PARSER,
            "cli/commands/config_command.py": COMMAND,
            "providers/p/get_provider_info.py": PROVIDER,
        }
        for name, text in files.items():
            path = tmp_path / version / "airflow" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / version

    return make


def test_the_list_has_options_former_names_and_later_ones(folder):
    later = CONFIG + "    new: {}\n"

    content = airflow_options.from_folders([folder("3.2", CONFIG), folder("3.3", later)])

    assert content == {
        "version": airflow_options.AIRFLOW,
        "provider_sections": ["p"],
        "options": {"core": ["kept", "new", "secret_one"], "p": ["a"]},
        "sensitive": ["core.secret_one"],
        "added": {"core.new": "3.3"},
        "moved": {
            "core.gone": None,
            "core.former": "core.kept",
            "old.kept": "core.kept",
            "older.kept": "core.kept",
        },
        "still_read": ["old.kept"],
    }


def test_the_committed_list_is_written_by_this_program():
    written = airflow_options.FILE.read_text()

    assert airflow_options.text(json.loads(written)) == written


def test_the_command_needs_a_folder(capsys):
    assert airflow_options.main([]) == 2
    assert "pip install --no-deps --target FOLDER" in capsys.readouterr().err


def test_the_command_writes_the_list(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(airflow_options, "FILE", tmp_path / "airflow_options.json")

    assert airflow_options.main([str(folder("3.2", CONFIG))]) == 0

    assert "wrote settings/airflow_options.json" in capsys.readouterr().out
    assert json.loads((tmp_path / "airflow_options.json").read_text())["options"]["p"] == ["a"]
