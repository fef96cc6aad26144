"""Settings as the program reads them from the stack file `Pulumi.prod.yaml`."""

import json

import pulumi
import pytest

import settings
from tests.unit.settings.stacks import KEY


@pytest.fixture
def load(deploy):
    """Read valid settings."""

    def run(given):
        read = {}
        text = given if isinstance(given, str) else json.dumps(given)
        deploy(lambda: read.update(settings=settings.load()), stack="prod", config={KEY: text})
        return read["settings"]

    return run


@pytest.fixture
def mistakes(load):
    """The lines of the report, without the name of the stack file and the key of the settings."""

    def run(given):
        try:
            load(given)
        except pulumi.RunError as report:
            file, *lines = str(report).splitlines()
            assert file == "Pulumi.prod.yaml:", "a report starts with the file to open"
            assert all(line.startswith(f"  {KEY}.") for line in lines), "a line starts with its key"
            return [line.removeprefix(f"  {KEY}.") for line in lines]
        return []

    return run
