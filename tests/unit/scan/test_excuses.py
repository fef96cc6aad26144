import pytest

from tests.scan.__main__ import problems, summary
from tests.scan.excuses import Excuse, Finding, read

PODS = Excuse(check="CKV_K8S_11", resources=("Deployment.airflow.*",), reason="limits throttle")


def finding(resource="Deployment.airflow.worker", check="CKV_K8S_11", stack="prod"):
    return Finding(tool="checkov", check=check, resource=resource, what="CPU limits", stack=stack)


def test_a_finding_with_an_excuse_is_no_problem():
    findings = [finding(), finding(stack="local")]

    assert problems(findings, [PODS]) == []
    assert summary(findings, [PODS]) == [
        "prod: 1 findings, 0 not excused",
        "local: 1 findings, 0 not excused",
    ]


@pytest.mark.parametrize(
    "other", [finding(resource="StatefulSet.airflow.redis"), finding(check="CKV_K8S_8")]
)
def test_a_finding_without_an_excuse_is_shown(other):
    lines = problems([finding(), other], [PODS])

    assert lines == [
        "",
        "Fix these, or add an excuse with a reason to tests/scan/excuses.yaml:",
        f"  prod   checkov   {other.check:12} {other.resource}: CPU limits",
    ]


def test_an_excuse_without_a_finding_is_a_problem():
    unused = Excuse(check="CKV_K8S_11", resources=("*.worker", "*.gone"), reason="limits throttle")

    assert problems([finding()], [unused]) == [
        "",
        "Remove these from tests/scan/excuses.yaml, since no finding matches them:",
        "  CKV_K8S_11  *.gone",
    ]


def test_the_committed_excuses_have_reasons():
    assert all(excuse.resources and excuse.reason for excuse in read())


def test_an_excuse_without_a_reason_is_refused(tmp_path):
    file = tmp_path / "excuses.yaml"
    file.write_text("- {check: CKV_1, resources: ['*'], reason: later}")

    with pytest.raises(ValueError, match=r"excuses.yaml: CKV_1: needs a reason"):
        read(file)
