import pytest

from tests.scan.manifests import with_token_settings


def account(**setting):
    return {"kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}, **setting}


def workload(kind="Deployment", **spec):
    template = {"template": {"spec": {"serviceAccountName": "a", **spec}}}
    spec = {"jobTemplate": {"spec": template}} if kind == "CronJob" else template
    return {"kind": kind, "metadata": {"name": "w", "namespace": "n"}, "spec": spec}


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_a_pod_has_the_token_setting_of_its_account(kind):
    objects = [workload(kind), account(automountServiceAccountToken=False)]

    spec = with_token_settings(objects)[0]["spec"]
    pod = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("own", "expected"), [({}, None), ({"automountServiceAccountToken": True}, True)]
)
def test_a_pod_keeps_its_own_token_setting(own, expected):
    accounts = account() if not own else account(automountServiceAccountToken=False)

    (pod, _) = with_token_settings([workload(**own), accounts])
    assert pod["spec"]["template"]["spec"].get("automountServiceAccountToken") is expected
