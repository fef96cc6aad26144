"""What is protected in prod stays, until somebody says otherwise in the stack file."""

from contextlib import contextmanager

import pytest

from tests.engine.scenarios.infrastructure.conftest import unprotect

PROTECTED = ("eks cluster", "rds instance", "s3 bucket", "kms key")
# Mistakes in the program: AWS renames neither. File, what stands there, what takes its place.
ANOTHER_DATABASE = ("database.py", 'USER = NAME = "airflow"', 'USER, NAME = "airflow", "other"')
ANOTHER_CLUSTER = (
    "cluster.py",
    "            vpc_id=args.vpc_id,",
    "            name='other',\n            vpc_id=args.vpc_id,",
)


@contextmanager
def mistake(stack, file, right, wrong):
    path = stack.checkout.folder / "components" / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    try:
        yield
    finally:
        path.write_text(text)


@pytest.mark.slow
def test_prod_protects_itself_and_goes_only_when_it_is_told(prod, account):
    prod.up()
    before = account.inventory()

    said = prod.pulumi("destroy", "--yes", check=False)
    assert "cannot be deleted" in said
    assert account.inventory() == before, "a refused destroy deletes nothing"

    status, said = prod.make("down")
    assert status == 0, said
    left = account.inventory()
    for kind in PROTECTED:
        assert any(line.startswith(kind) for line in left), kind
    for kind in ("Cluster cluster-eks", "Instance database-instance", "Bucket logs-bucket"):
        assert kind in said, "it says what is still there"
    prod.up()

    with mistake(prod, *ANOTHER_DATABASE):
        status, said = prod.make("up")
    assert status != 0
    assert "database-instance" in said
    assert "protect" in said

    unprotect(prod)
    said = prod.up()
    assert "replaced" not in said.partition("Resources:")[2]

    for change, why in (
        (ANOTHER_DATABASE, "database-instance: would be replaced because of dbName"),
        (ANOTHER_CLUSTER, "cluster-eks-eksCluster: would be replaced because of name"),
    ):
        with mistake(prod, *change):
            status, said = prod.make("up")
        assert status != 0, "also without protection nothing is made anew by surprise"
        assert "Nothing was changed" in said
        assert why in said
        assert "Traceback" not in said

    status, said = prod.make("down")
    assert status == 0, said
    assert "Nothing is left." in said
    (snapshot,) = account.inventory()
    assert snapshot.startswith("rds snapshot prod-database-final-")
