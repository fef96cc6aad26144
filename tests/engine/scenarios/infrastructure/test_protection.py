"""What is protected in prod stays, until somebody says otherwise in the stack file."""

PROTECTED = (
    "aws:eks/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "kubernetes:core/v1:PersistentVolumeClaim",
)


def _changes(said):
    return said.partition("Resources:")[2].partition("Duration")[0]


def test_prod_protects_itself_and_goes_only_when_it_is_told(prod, account):
    prod.up()
    identifier = prod.resources()["aws:rds/instance:Instance database-instance"]["outputs"][
        "identifier"
    ]
    before = account.inventory()

    said = prod.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert "cannot be deleted" in said
    assert account.inventory() == before, "a refused destroy deletes nothing"

    status, said = prod.make("down")
    assert "protected" in said
    assert status == 0, said
    left = account.inventory()
    for kind in ("eks cluster", "rds instance", "s3 bucket", "kms key"):
        assert any(line.startswith(kind) for line in left), kind

    prod.up()
    _refuse_a_replacement(prod, account, identifier)

    for section in ("cluster", "database", "redis", "logs"):
        prod.change(**{section: {"protect": False}})
    said = prod.up()
    assert "replaced" not in _changes(said)
    status, said = prod.make("down")
    assert status == 0, said
    assert "Nothing is left." in said
    assert account.inventory() == [], "and no snapshot of a database that was unprotected first"


def _refuse_a_replacement(prod, account, identifier):
    network = prod.settings()["network"]
    prod.change(network={"cidr": "10.9.0.0/16"})

    status, said = prod.make("up")

    assert status != 0
    assert "would be replaced" in said
    assert "database-instance" in said
    assert "cluster-eks" in said
    assert "Traceback" not in said
    (instance,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert instance["DBInstanceIdentifier"] == identifier, "nothing was changed"
    prod.change(network=network)
