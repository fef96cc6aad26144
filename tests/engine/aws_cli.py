"""The AWS CLI in this process: a process of its own takes a second to start."""

import os
import threading
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest
from awscli.clidriver import create_clidriver

from ops import shell
from ops.recovery import aws
from ops.shell import OperationError
from tests.engine.simulator.cloud import Cloud


def in_process(patch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    """Point commands of `ops` at an account, with the AWS CLI of this environment."""
    for key, value in {
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_ACCESS_KEY_ID": "simulated",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(key, value)
    driver = create_clidriver()
    turn = threading.Lock()

    def output(command: list[str], **_: Any) -> str:
        printed, errors = StringIO(), StringIO()
        # The CLI prints to the standard output of the process.
        with turn, redirect_stdout(printed), redirect_stderr(errors):
            status = driver.main(command[1:])
        if status:
            raise OperationError(f"{' '.join(command)}: {errors.getvalue().strip()}")
        return printed.getvalue()

    patch.setattr(aws, "output", output)
    patch.setattr(shell, "require", lambda *tools: None)
