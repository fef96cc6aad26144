import json
import runpy

import pytest

from ops import stack_files


@pytest.fixture
def snapshot(stack):
    return lambda name: stack(name)[0]


@pytest.fixture
def program(deploy):
    """Runs the program with the settings of a committed stack, with `changed` sections.

    `only` replaces whole sections; `keys` are other keys of the stack file.
    """

    def run(name, *, called=None, keys=None, only=None, **changed):
        config = {key: text for key, text, _ in stack_files.read_stack(name)}
        settings = json.loads(config["airflow-platform:settings"])
        for section, values in changed.items():
            settings[section] = {**settings.get(section, {}), **values}
        settings |= only or {}
        config["airflow-platform:settings"] = json.dumps(settings)
        config |= keys or {}
        return deploy(
            lambda: runpy.run_path(str(stack_files.ROOT / "__main__.py")) and None,
            stack=called or name,
            config=config,
        )

    return run
