"""`make up` checks the rights for everything that a stack creates in an existing cluster."""

import pytest

from ops import rights
from tests.chart.conftest import VARIANTS

ON_EXISTING = ["local", *(name for name, (stack, _) in VARIANTS.items() if stack == "local")]
CLUSTER_WIDE = ("APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")


def _resource(api_version, kind):
    group, slash, _ = api_version.partition("/")
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"{plural.lower()}.{group}" if slash else plural.lower()


def _created(rendered):
    """Resource and namespace of every object."""
    for resource in rendered.snapshot.resources.values():
        package, _, rest = resource.type.partition(":")
        path, _, kind = rest.rpartition(":")
        if package == "kubernetes" and kind not in ("Release", "ServiceAccountPatch"):
            api_version = path.removeprefix("core/")
            namespace = resource.inputs["metadata"].get("namespace", "")
            group, slash, version = api_version.partition("/")
            # The provider spells the group `apps` without, and others with, their domain.
            yield _resource(f"{group}/{version}" if slash else group, kind), namespace
    own = rendered.settings.cluster.namespace
    for manifests, home in ((rendered.airflow, own), (rendered.keda, "keda")):
        for each in manifests.objects if manifests else ():
            # `helm template` uses the name of the release as its namespace.
            namespace = each["metadata"].get("namespace", "airflow" if home == own else home)
            namespace = own if namespace == "airflow" else namespace
            namespace = "" if each["kind"] in CLUSTER_WIDE else namespace
            yield _resource(each["apiVersion"], each["kind"]), namespace


@pytest.mark.parametrize("name", ON_EXISTING)
def test_every_object_of_a_stack_has_a_checked_right(render, name):
    rendered = render(name)
    checked = {(r.resource, r.namespace) for r in rights.needed(rendered.settings, set())}

    created = set(_created(rendered))
    assert len(created) > 12
    assert created - checked == set(), "add the resource to ops/rights.py and docs/clusters.md"
