"""A deployed cluster keeps its name."""

import json
import os

import pytest

from ops import eks
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack


@pytest.fixture
def check(stack, tools, tmp_path):
    """Check the stack `dev` against a cluster in the state."""

    def run(present, **cluster):
        outputs = {"type": eks.TYPE, "outputs": {"name": present}}
        resources = [{"type": "aws:s3/bucket:Bucket"}, *([outputs] if present else [])]
        tools("pulumi", f"printf %s '{json.dumps({'deployment': {'resources': resources}})}'")
        settings = stack("dev")[1]
        changed = settings.cluster.model_copy(update=cluster)
        opened = Stack(name="dev", file=tmp_path / "Pulumi.dev.yaml", env=dict(os.environ))
        settings = settings.model_copy(update={"cluster": changed})
        eks.check_name(Session(settings=settings, stack=opened, account=None))

    return run


def test_a_cluster_of_an_earlier_release_is_not_replaced(check):
    with pytest.raises(
        OperationError,
        match=r"Pulumi.dev.yaml:\n  airflow-platform:settings.cluster.name: .* named eks-1a2b.*"
        r"replace it with airflow-dev. Nothing was changed.* add `name: eks-1a2b` to",
    ):
        check("eks-1a2b")


@pytest.mark.parametrize(
    ("present", "settings"),
    [(None, {}), ("airflow-dev", {}), ("eks-1a2b", {"name": "eks-1a2b"})],
    ids=["new", "default", "named"],
)
def test_a_cluster_with_its_present_name_is_accepted(check, present, settings):
    check(present, **settings)
