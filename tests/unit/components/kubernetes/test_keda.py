import pytest

from components.kubernetes.keda import Keda, KedaArgs
from settings.charts import ChartSettings
from settings.versions import KEDA_CHART

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@pytest.fixture
def keda(deploy):
    def make(database_ca=None, source=None):
        charts = ChartSettings(source=source)
        args = KedaArgs(database_ca=database_ca, charts=charts)
        return deploy(lambda: Keda("keda", args))

    return make


def test_keda_is_the_pinned_chart_in_a_namespace_of_its_own(keda):
    release = keda().one(RELEASE).inputs

    assert (release["name"], release["namespace"]) == ("keda", "keda")
    assert (release["chart"], release["version"]) == ("keda", KEDA_CHART.version)
    assert release["repositoryOpts"] == {"repo": "https://kedacore.github.io/charts"}
    assert release["maxHistory"] == 10, "each revision is a Secret that stays"


def test_keda_comes_from_the_mirror_of_the_settings(keda):
    release = keda(source="oci://registry.example/charts").one(RELEASE).inputs

    assert release["chart"] == "oci://registry.example/charts/keda"


def test_keda_watches_airflow_and_nothing_else(keda):
    values = keda().one(RELEASE).inputs["values"]

    assert values["watchNamespace"] == "airflow", "empty, it would read Secrets everywhere"
    assert values["image"] == {"pullPolicy": "IfNotPresent"}


def test_its_pods_must_be_restricted(keda):
    metadata = keda().one(NAMESPACE).inputs["metadata"]

    assert metadata["name"] == "keda"
    assert metadata["labels"] == {
        "app.kubernetes.io/part-of": "airflow-platform",
        "pod-security.kubernetes.io/enforce": "restricted",
    }


def test_its_pods_have_the_certificates_that_vouch_for_the_database(keda):
    declaration = keda(database_ca="PEM")

    ca = declaration.one(CONFIG_MAP).inputs
    assert ca["metadata"] == {"name": "rds-ca", "namespace": "keda"}
    assert ca["data"] == {"ca.pem": "PEM"}
    volumes = declaration.one(RELEASE).inputs["values"]["volumes"]["keda"]
    assert volumes["extraVolumes"] == [{"name": "rds-ca", "configMap": {"name": "rds-ca"}}]
    assert volumes["extraVolumeMounts"] == [
        {"name": "rds-ca", "mountPath": "/etc/rds-ca", "readOnly": True}
    ]


def test_without_certificates_nothing_is_mounted(keda):
    declaration = keda(database_ca=None)

    assert not declaration.all(CONFIG_MAP)
    assert "volumes" not in declaration.one(RELEASE).inputs["values"]


def test_the_release_waits_for_its_namespace_and_its_certificates(keda):
    declaration = keda(database_ca="PEM")

    needed = {declaration.one(NAMESPACE).urn, declaration.one(CONFIG_MAP).urn}
    assert needed <= declaration.one(RELEASE).depends_on
