import json

import pytest

import settings
from settings import versions
from tests.unit.settings.stacks import EKS, INGRESS, KEY, changed


def test_the_defaults_are_small(load):
    given = load(EKS)

    assert (given.network.cidr, given.network.az_count) == ("10.0.0.0/16", 2)
    assert given.network.nat == "single"
    assert (given.database.instance_class, given.database.multi_az) == ("db.t4g.medium", False)
    assert (given.database.storage_gb, given.database.max_storage_gb) == (20, 100)
    assert given.database.backup_days == 7, "backups are on by default"
    assert (given.workers.min, given.workers.max, given.workers.concurrency) == (1, 4, 8)
    assert (given.workers.scaling, given.workers.spot) == ("queue", False)
    assert given.workers.grace_seconds == 600
    assert (given.dags.ref, given.dags.sub_path, given.dags.poll_seconds) == ("main", "dags", 5)
    assert given.dags.auth.kind == "none"
    assert (given.airflow.version, given.airflow.image) == (versions.AIRFLOW, "apache/airflow")
    assert set(given.airflow.replicas.model_dump().values()) == {1}
    assert given.airflow.url == "http://localhost:8080"
    assert set(given.rotation.model_dump().values()) == {1}
    assert (given.git_server, given.airflow.ingress, given.charts.source) == (None, None, None)
    assert given.logs.retention_days == 30


def test_nothing_is_protected_or_public_by_default(load):
    given = load(EKS)

    protected = (given.cluster, given.database, given.redis, given.logs)
    assert [section.protect for section in protected] == [False, False, False, False]
    assert given.cluster.public_access_cidrs == ()
    assert load(changed(EKS, "airflow.ingress", INGRESS)).airflow.ingress.scheme == "internal"


def test_settings_are_read_only(load):
    given = load(EKS)

    with pytest.raises(ValueError, match="frozen"):
        given.workers.max = 100


def test_the_longest_grace_period_of_all_queues_is_known(load):
    queues = {"a": {"grace_seconds": 7200}, "b": {"grace_seconds": 30}}

    assert load({**EKS, "queues": queues}).longest_grace_seconds == 7200
    assert load(EKS).longest_grace_seconds == 600


def test_a_spot_queue_with_a_long_grace_period_is_a_warning(deploy):
    given = {**EKS, "queues": {"etl": {"spot": True}}}

    snapshot = deploy(settings.load, stack="prod", config={KEY: json.dumps(given)})

    (warning,) = snapshot.warnings
    assert warning.startswith(
        f"Pulumi.prod.yaml: {KEY}.queues.etl.spot: a spot node is reclaimed 120 s"
    )
