"""Protected resources of prod are deleted only after the stack file removes their protection."""

from contextlib import contextmanager

import pytest

from tests.engine.scenarios.infrastructure.conftest import unprotect

PROTECTED = ("eks cluster", "rds instance", "s3 bucket", "kms key")
# Program changes that replace a resource, because AWS cannot rename it: file, old text, new text.
ANOTHER_DATABASE = (
    "support/database_login.py",
    'USER = NAME = "airflow"',
    'USER, NAME = "airflow", "other"',
)
ANOTHER_CLUSTER = (
    "platforms.py",
    "name=cluster_name(cluster_settings, pulumi.get_stack())",
    "name='other'",
)


@contextmanager
def changed(stack, file, old, new):
    path = stack.checkout.folder / "components" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


@pytest.mark.slow
def test_prod_is_deleted_only_after_protection_is_removed(prod, account):
    prod.up()
    before = account.inventory()

    output = prod.pulumi("destroy", "--yes", check=False)
    assert "cannot be deleted" in output
    assert account.inventory() == before, "a refused destroy deletes nothing"

    status, output = prod.make("down")
    assert status == 0, output
    remaining = account.inventory()
    for kind in PROTECTED:
        assert any(line.startswith(kind) for line in remaining), kind
    for kind in ("Cluster cluster-eks", "Instance database-instance", "Bucket logs-bucket"):
        assert kind in output, "the output must list the remaining resources"
    prod.up()

    with changed(prod, *ANOTHER_DATABASE):
        status, output = prod.make("up")
    assert status != 0
    assert "database-instance" in output
    assert "protect" in output

    unprotect(prod)
    output = prod.up()
    assert "replaced" not in output.partition("Resources:")[2]

    for change, why in (
        (ANOTHER_DATABASE, "database-instance: would be replaced because of dbName"),
        (ANOTHER_CLUSTER, "cluster-eks-eksCluster: would be replaced because of name"),
    ):
        with changed(prod, *change):
            status, output = prod.make("up")
        assert status != 0, "without protection `up` must still refuse a replacement"
        assert "Nothing was changed" in output
        assert why in output
        assert "Traceback" not in output

    status, output = prod.make("down")
    assert status == 0, output
    assert "All resources were deleted." in output
    (snapshot,) = account.inventory()
    assert snapshot.startswith("rds snapshot airflow-prod-final-")
