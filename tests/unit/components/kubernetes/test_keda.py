import pytest

from components.kubernetes.keda import Keda, KedaArgs
from settings.charts import ChartSettings
from settings.versions import KEDA_CHART

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@pytest.fixture
def keda(deploy):
    def make(database_ca=None, source=None, watched="flow"):
        charts = ChartSettings(source=source)
        args = KedaArgs(watched_namespace=watched, database_ca=database_ca, charts=charts)
        return deploy(lambda: Keda("keda", args))

    return make


def test_keda_is_the_pinned_chart_in_its_own_namespace(keda):
    release = keda().one(RELEASE).inputs

    assert (release["name"], release["namespace"]) == ("keda", "keda")
    assert (release["chart"], release["version"]) == ("keda", KEDA_CHART.version)
    assert release["repositoryOpts"] == {"repo": "https://kedacore.github.io/charts"}
    assert release["maxHistory"] == 10, "each revision is a Secret"


def test_the_chart_comes_from_the_configured_mirror(keda):
    release = keda(source="oci://registry.example/charts").one(RELEASE).inputs

    assert release["chart"] == "oci://registry.example/charts/keda"


def test_keda_watches_only_the_airflow_namespace(keda):
    values = keda().one(RELEASE).inputs["values"]

    assert values["watchNamespace"] == "flow", (
        "without a namespace, KEDA reads Secrets of the whole cluster"
    )
    assert values["image"] == {"pullPolicy": "IfNotPresent"}


def test_without_a_ca_bundle_nothing_is_mounted(keda):
    snapshot = keda(database_ca=None)

    assert not snapshot.all(CONFIG_MAP)
    assert "volumes" not in snapshot.one(RELEASE).inputs["values"]


def test_the_release_depends_on_namespace_and_ca_bundle(keda):
    snapshot = keda(database_ca="PEM")

    needed = {snapshot.one(NAMESPACE).urn, snapshot.one(CONFIG_MAP).urn}
    assert needed <= snapshot.one(RELEASE).depends_on


def test_keda_reads_and_scales_no_custom_resources(keda):
    values = keda().one(RELEASE).inputs["values"]

    assert values["rbac"] == {"enabledCustomScaledRefKinds": False}, (
        "by default KEDA may read every object in the namespace of Airflow"
    )


def test_only_two_ports_of_keda_are_open(keda):
    policies = {p.inputs["metadata"]["name"]: p.inputs for p in keda().all(POLICY)}

    assert {policy["metadata"]["namespace"] for policy in policies.values()} == {"keda"}
    assert {name: policy["spec"] for name, policy in policies.items()} == {
        "deny-ingress": {"podSelector": {}, "policyTypes": ["Ingress"]},
        "operator-clients": {
            "podSelector": {"matchLabels": {"app": "keda-operator"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"podSelector": {"matchLabels": {"app": "keda-operator-metrics-apiserver"}}}
                    ],
                    "ports": [{"port": 9666, "protocol": "TCP"}],
                }
            ],
        },
        "metrics-clients": {
            "podSelector": {"matchLabels": {"app": "keda-operator-metrics-apiserver"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": 6443, "protocol": "TCP"}]},
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                            }
                        }
                    ],
                    "ports": [{"port": 8080, "protocol": "TCP"}],
                },
            ],
        },
    }
