import pytest

from tests.unit.policies.resources import container, findings, resource


@pytest.mark.parametrize(
    ("type", "path"),
    [
        ("kubernetes:apps/v1:Deployment", "spec.template.spec"),
        ("kubernetes:apps/v1:DaemonSet", "spec.template.spec"),
        ("kubernetes:batch/v1:Job", "spec.template.spec"),
        ("kubernetes:batch/v1:CronJob", "spec.jobTemplate.spec.template.spec"),
        ("kubernetes:core/v1:Pod", "spec"),
    ],
)
def test_rules_check_every_kind_of_pod_template(type, path):
    inputs = {"containers": [container(image="redis:latest")]}
    for key in reversed(path.split(".")):
        inputs = {key: inputs}
    found = findings("image-tag-pinned", resource(type, **inputs))
    assert [f.what for f in found] == ['main: image is "redis:latest"']
