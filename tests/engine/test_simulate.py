"""`make simulate` deploys each committed AWS stack, with a Git server in the cluster."""

import pytest
import yaml

from tests.engine import simulate
from tests.harness.checkout import SETTINGS, Checkout


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_a_simulated_stack_passes_the_policies(name, tmp_path, charts):
    checkout = Checkout.copy(tmp_path, charts)
    settings = yaml.safe_load(checkout.file(name).read_text())["config"][SETTINGS]
    checkout.change(name, charts={"source": str(charts)}, **simulate.changes(settings))

    status, output = checkout.make("plan", name)

    assert status == 0, output
    assert "git-server" in output, "the source of its DAGs"
