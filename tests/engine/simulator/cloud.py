"""The account: moto in this process, served over HTTP, with `moto_patches` and `moto_additions`."""

import copy
import logging
import os
import re
from contextlib import ExitStack
from functools import cache
from typing import Any, Self
from unittest.mock import patch

import boto3
from botocore.config import Config
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.server import ThreadedMotoServer

from tests.engine.simulator import (
    auto_mode_resources,
    identity,
    inventory,
    moto_additions,
    moto_backups,
    moto_image_cache,
    moto_patches,
)
from tests.engine.simulator.auto_mode_resources import AutoMode, LateLogs, Objects
from tests.engine.simulator.hooks import Hooks
from tests.engine.simulator.identity import ACCOUNT
from tests.engine.simulator.moto_patches import zones

SERVICES = (
    "ec2",
    "ecr",
    "eks",
    "elbv2",
    "iam",
    "kms",
    "logs",
    "rds",
    "resourcegroupstaggingapi",
    "s3",
    "secretsmanager",
    "service-quotas",
    "sts",
)


# Where stacks keep a copy of what they need without their own Region.
SECOND_REGION = "eu-central-1"


class Cloud:
    """An empty AWS account. One per process: moto's state is global.

    `region` is that of the stacks, and the only one with backends.
    """

    account = ACCOUNT

    def __init__(
        self,
        host: str = "127.0.0.1",
        region: str = "eu-west-1",
        zone_seed: int = 0,
        objects: Objects = lambda kind: [],
        **hooks: Any,
    ) -> None:
        self.region = self._home = region
        self._patches = ExitStack()
        # Werkzeug logs every request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        # AWS managed policies: a role can attach only existing ones.
        managed = patch.dict(os.environ, MOTO_IAM_LOAD_MANAGED_POLICIES="true")
        self._patches.enter_context(managed)
        zones.install(self._patches, region, zones.rotated(region, zone_seed))
        _reset_moto()
        self.server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
        self.server.start()
        # While set, every request fails with 503.
        self.down = False
        self._elsewhere: dict[str | None, Cloud] = {}
        # Regions that answer no request.
        self.lost: set[str] = set()
        serving: Any = self.server._server
        serving.app = self._gate(serving.app)
        bound, port = self.server.get_host_and_port()
        self.url = f"http://{bound}:{port}"
        self.client = cache(self._client)
        moto_additions.install(self._patches)
        moto_backups.install(self._patches)
        moto_image_cache.install(self._patches)
        moto_patches.install(self._patches)
        identity.install(self._patches)
        self.auto_mode = AutoMode(ACCOUNT, region, objects)
        self.late_logs = LateLogs(ACCOUNT, region)
        Hooks(**hooks).install(self._patches)
        identity.create(self.client("iam"))
        auto_mode_resources.install(self.auto_mode, self.late_logs, self._patches)

    def in_region(self, region: str | None) -> "Cloud":
        """The same account, as a client in another Region sees it."""
        if region in (None, self.region):
            return self
        if region not in self._elsewhere:
            there = self._elsewhere[region] = copy.copy(self)
            there.region = region
            there.client = cache(there._client)
        return self._elsewhere[region]

    def lose_region(self) -> None:
        """The Region answers no more; stacks are created in the second one from now on."""
        self.lost.add(self.region)
        self._move(SECOND_REGION)

    def reset(self) -> None:
        """An empty account again, with all its Regions."""
        self.down, self.late_logs.enabled = False, False
        self.lost.clear()
        _reset_moto()
        self._move(self._home)
        identity.create(self.client("iam"))

    def _move(self, region: str) -> None:
        self.region = region
        self.client = cache(self._client)
        self.auto_mode.enter(region)
        self.late_logs.enter(region)

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=identity.ACCESS_KEY,
            aws_secret_access_key="simulated",  # moto accepts any
            config=Config(
                retries={"max_attempts": 0},
                read_timeout=600,
                max_pool_connections=32,
                s3={"addressing_style": "path"},
            ),
        )

    def _gate(self, app: Any) -> Any:
        def gated(environ: Any, start_response: Any) -> Any:
            if self.down or _region_of(environ) in self.lost:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            return app(environ, start_response)

        return gated

    def set_zones(self, ids: list[str]) -> None:
        """The zones of the Region from now on: their IDs by letter. Subnets stay in theirs."""
        zones.assign(self.region, ids)

    def inventory(self) -> list[str]:
        """Every resource in the account except those that AWS creates by default, one per line."""
        self.auto_mode.sync()
        second = self.in_region(SECOND_REGION)
        lines = [*inventory.of(self.client)]
        if second is not self:
            lines += [f"{SECOND_REGION}: {line}" for line in inventory.of_region(second.client)]
        return sorted(lines)

    def stop(self) -> None:
        self._patches.close()
        self.server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _region_of(environ: Any) -> str | None:
    """The Region of a signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html"""
    signed = re.search(r"Credential=[^/]+/\d+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else None


def _reset_moto() -> None:
    moto_patches.quotas.changed.clear()
    for service in SERVICES:
        backend: BackendDict[Any] = get_backend(service)
        backend.reset()
