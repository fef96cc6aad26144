import pytest

from tests.unit.settings.stacks import LOCAL, changed

MAPS = ("pod_labels", "pod_annotations", "namespace_labels", "namespace_annotations")


@pytest.mark.parametrize("setting", MAPS)
def test_keys_of_the_company_are_accepted(mistakes, setting):
    for key in ("team", "example.com/cost-center", "admission.example.com/enabled_1"):
        assert mistakes({**LOCAL, "kubernetes": {setting: {key: "data"}}}) == []


@pytest.mark.parametrize("setting", MAPS)
@pytest.mark.parametrize("key", ["-team", "a b", "Example.com/team", "a/b/c", "x" * 64, "a/", ""])
def test_a_key_that_kubernetes_refuses_is_refused(mistakes, setting, key):
    (line,) = mistakes({**LOCAL, "kubernetes": {setting: {key: "data"}}})

    assert line.startswith(f"kubernetes.{setting}.{key}: should be a key of Kubernetes: ")


@pytest.mark.parametrize("setting", ["pod_labels", "namespace_labels"])
@pytest.mark.parametrize("value", ["a b", "x" * 64, "-a", "a/b"])
def test_a_label_value_that_kubernetes_refuses_is_refused(mistakes, setting, value):
    (line,) = mistakes({**LOCAL, "kubernetes": {setting: {"team": value}}})

    assert line.startswith(f"kubernetes.{setting}.team: should be a label value of Kubernetes: ")


def test_a_value_that_is_no_string_is_refused(mistakes):
    (line,) = mistakes({**LOCAL, "kubernetes": {"pod_labels": {"team": True}}})

    assert line.startswith("kubernetes.pod_labels.team: Input should be a valid string")


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("pod_labels", "component"),
        ("pod_labels", "app.kubernetes.io/name"),
        ("pod_annotations", "karpenter.sh/do-not-disrupt"),
        ("pod_annotations", "checksum/airflow-metadata"),
        ("namespace_labels", "app.kubernetes.io/part-of"),
        ("namespace_labels", "airflow-platform/stack"),
        ("namespace_labels", "kubernetes.io/metadata.name"),
        ("namespace_annotations", "pulumi.com/skipAwait"),
    ],
)
def test_a_key_of_the_program_is_refused(mistakes, setting, key):
    (line,) = mistakes({**LOCAL, "kubernetes": {setting: {key: "x"}}})

    assert line.startswith(
        f"kubernetes.{setting}.{key}: belongs to Kubernetes, this program or a chart"
    )


def test_labels_of_pod_security_stay_those_of_the_program(mistakes):
    given = changed(LOCAL, "kubernetes", {"namespace_labels": {}})
    given["kubernetes"]["namespace_labels"]["pod-security.kubernetes.io/warn"] = "baseline"

    (line,) = mistakes(given)
    assert "its namespaces enforce the Pod Security Standard restricted" in line
