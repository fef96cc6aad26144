import json

import pytest

import settings
from tests.unit.settings.stacks import EKS, KEY


def test_settings_are_read_only(load):
    given = load(EKS)

    with pytest.raises(ValueError, match="frozen"):
        given.workers.max = 100


def test_the_longest_grace_period_of_all_queues_is_known(load):
    queues = {"a": {"grace_seconds": 7200}, "b": {"grace_seconds": 30}}

    assert load({**EKS, "queues": queues}).longest_grace_seconds == 7200
    assert load(EKS).longest_grace_seconds == 600


def test_a_spot_queue_with_a_long_grace_period_is_a_warning(deploy):
    queues = {"etl": {"spot": True, "scaling": "cpu"}}
    given = {**EKS, "workers": {"scaling": "cpu"}, "queues": queues}

    snapshot = deploy(settings.load, stack="prod", config={KEY: json.dumps(given)})

    (warning,) = snapshot.warnings
    assert warning.startswith(
        f"Pulumi.prod.yaml: {KEY}.queues.etl.spot: a spot node is reclaimed 120 s"
    )
