import json
import os

import pytest

from ops import versions
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.versions import AIRFLOW


@pytest.fixture
def session(tools, stack, tmp_path):
    """The stack prod, with this version of Airflow in its state."""

    def opened(deployed):
        values = {"defaultAirflowTag": deployed}
        release = {"type": versions.TYPE, "urn": f"urn::{versions.RELEASE}"}
        keda = {"type": versions.TYPE, "urn": "urn::keda-release", "inputs": {"values": {}}}
        resources = [keda, {**release, "inputs": {"values": values}}] if deployed else [keda]
        state = json.dumps({"deployment": {"resources": resources}})
        tools("pulumi", f"echo '{state}'")
        opened = Stack(name="prod", file=tmp_path / "Pulumi.prod.yaml", env=dict(os.environ))
        return Session(settings=stack("prod")[1], stack=opened, account=None)

    return opened


@pytest.mark.parametrize("deployed", [None, AIRFLOW])
def test_an_update_with_the_same_version_is_accepted(session, deployed):
    versions.check(session(deployed))


@pytest.mark.parametrize("deployed", ["3.2.2", "3.9.0"])
def test_an_update_to_another_version_needs_a_backup(session, deployed):
    with pytest.raises(OperationError) as refused:
        versions.check(session(deployed))

    text = str(refused.value)
    assert f"airflow.version is {AIRFLOW}, and Airflow {deployed} is deployed" in text
    assert "`make upgrade STACK=prod`" in text
    assert f"airflow.version: {deployed}" in text
