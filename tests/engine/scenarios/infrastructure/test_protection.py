"""What is protected in prod stays, until somebody says otherwise in the stack file."""

from tests.engine.scenarios.infrastructure.conftest import unprotect

PROTECTED = ("eks cluster", "rds instance", "s3 bucket", "kms key")


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

    _another_database_name(prod)
    status, said = prod.make("up")
    assert status != 0
    assert "database-instance" in said
    assert "protect" in said
    _the_database_name(prod)

    unprotect(prod)
    said = prod.up()
    assert "replaced" not in said.partition("Resources:")[2]

    _another_database_name(prod)
    status, said = prod.make("up")
    assert status != 0, "also without protection a database is not made anew by surprise"
    assert "Nothing was changed" in said
    assert "database-instance: would be replaced because of dbName" in said
    assert "Traceback" not in said
    _the_database_name(prod)

    status, said = prod.make("down")
    assert status == 0, said
    assert "Nothing is left." in said
    (snapshot,) = account.inventory()
    assert snapshot.startswith("rds snapshot prod-database-final-")


def _component(stack):
    return stack.checkout.folder / "components" / "database.py"


def _another_database_name(stack):
    """A mistake in the program: AWS cannot rename a database."""
    text = _component(stack).read_text()
    _component(stack).write_text(
        text.replace('USER = NAME = "airflow"', 'USER, NAME = "airflow", "other"')
    )


def _the_database_name(stack):
    text = _component(stack).read_text()
    _component(stack).write_text(
        text.replace('USER, NAME = "airflow", "other"', 'USER = NAME = "airflow"')
    )
