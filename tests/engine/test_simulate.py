"""`make simulate` deploys each AWS stack as it is committed, but for its Git host."""

import pytest
import yaml

from tests.engine import simulate
from tests.harness.cluster import SETTINGS, Checkout


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_a_stack_breaks_no_rule_by_being_simulated(name, tmp_path, charts):
    checkout = Checkout.copy(tmp_path, charts)
    settings = yaml.safe_load(checkout.file(name).read_text())["config"][SETTINGS]
    checkout.change(name, charts={"source": str(charts)}, **simulate.changes(settings))

    status, said = checkout.make("plan", name)

    assert status == 0, said
    assert "git-server" in said, "its DAGs come from there"
