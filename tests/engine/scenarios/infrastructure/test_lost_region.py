"""The Region of the stack dev is lost, and the stack comes back in the second one."""

import pytest
from cryptography.fernet import Fernet, MultiFernet

from tests.engine.simulator.backends.kubernetes import NAMESPACE
from tests.engine.simulator.cloud import SECOND_REGION

pytestmark = pytest.mark.slow
TEXT = "hunter2"


def sql(cluster, instance, statement):
    """Run a statement in the server of an RDS instance."""
    words = ["psql", "-U", "airflow", "-d", "airflow", "-tA", "-c", statement]
    return cluster.kubectl("-n", NAMESPACE, "exec", instance, "--", *words).strip()


def fernet(cluster):
    keys = cluster.secret("airflow-fernet", "fernet-key").split(",")
    return MultiFernet([Fernet(key) for key in keys])


@pytest.fixture(scope="module")
def lost(deploy, small_charts, account, dags, cluster):
    """A stack with a second Region and an encrypted row; then its Region answers no more."""
    second = {"replicate_to": SECOND_REGION}
    stack = deploy("dev", small_charts, dags=dags, database=second, logs=second)
    try:
        stack.up()
        assert "unchanged" in stack.up(), "a second update changes nothing"
        encrypted = fernet(cluster).encrypt(TEXT.encode()).decode()
        sql(cluster, "airflow-dev", f"CREATE TABLE kept AS SELECT '{encrypted}'::text AS value")
        account.lose_region()
        yield stack
    finally:
        account.reset()


@pytest.fixture(scope="module")
def backup(lost, account):
    """The ARN that the runbook finds."""
    rds = account.client("rds", SECOND_REGION)
    (found,) = rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    assert found["DBInstanceIdentifier"] == "airflow-dev"
    return found["DBInstanceAutomatedBackupsArn"]


@pytest.fixture(scope="module")
def recovered(backup, deploy, small_charts, account, dags):
    """A new stack in the second Region, without the state of the lost one."""
    database = {"generation": 2, "restore_from": backup}
    stack = deploy("dev", small_charts, dags=dags, database=database)
    stack.configure({"aws:region": SECOND_REGION})
    secrets = account.client("secretsmanager", SECOND_REGION)
    filters = [{"Key": "name", "Values": ["airflow-dev-fernet-"]}]
    (found,) = secrets.list_secrets(Filters=filters)["SecretList"]
    keys = secrets.get_secret_value(SecretId=found["Name"])["SecretString"]
    stack.pulumi("config", "set", "--secret", "fernet_key", stdin=keys)
    stack.up()
    return stack


def test_a_lost_region_refuses_every_command(lost):
    status, output = lost.make("up")

    assert status != 0
    assert "nothing was changed" in output
    assert "If AWS fails in eu-west-1: docs/runbooks/lost-region.md" in output


def test_the_row_and_its_key_are_in_the_second_region(recovered, cluster):
    value = sql(cluster, "airflow-dev-g2", "SELECT value FROM kept")

    assert fernet(cluster).decrypt(value.encode()).decode() == TEXT


def test_the_recovered_stack_is_complete(recovered, account):
    rds = account.client("rds", SECOND_REGION)
    (found,) = rds.describe_db_instances()["DBInstances"]
    assert found["DBInstanceIdentifier"] == "airflow-dev-g2"
    assert "unchanged" in recovered.up()

    status, output = recovered.make("down")
    assert status == 0, output
    lines = account.inventory()
    assert not [line for line in lines if line.startswith(("rds instance", "eks", "ec2"))], output
