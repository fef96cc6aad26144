"""The simulated Auto Mode refuses attributes that Elastic Load Balancing refuses."""

import json
import re

import pytest

from components.kubernetes.load_balancer import ACCESS_LOGS
from tests.engine.simulator.backends.kubernetes import CRDS

OURS = {
    "routing.http.drop_invalid_header_fields.enabled": "true",
    "access_logs.s3.enabled": "true",
    "access_logs.s3.bucket": "logs-bucket",
    "access_logs.s3.prefix": ACCESS_LOGS,
}


@pytest.fixture(scope="module")
def class_params(cluster):
    """Ask the API server whether it accepts IngressClassParams with these attributes."""
    present = "ingressclassparams.eks.amazonaws.com" in cluster.kubectl("get", "crd", "-o", "name")
    cluster.kubectl("apply", "--server-side", "--filename", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--filename", str(CRDS))

    def accepted(attributes):
        given = [{"key": key, "value": value} for key, value in attributes.items()]
        manifest = {
            "apiVersion": "eks.amazonaws.com/v1",
            "kind": "IngressClassParams",
            "metadata": {"name": "tested"},
            "spec": {"loadBalancerAttributes": given},
        }
        words = ("create", "--dry-run=server", "--validate=strict", "--filename", "-")
        cluster.kubectl(*words, stdin=json.dumps(manifest))

    yield accepted
    if not present:
        cluster.kubectl("delete", "--filename", str(CRDS), "--wait")


def test_the_attributes_of_the_stack_are_accepted(class_params):
    class_params(OURS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"routing.http.drop_invalid_headers.enabled": "true"}, "Unsupported value"),
        ({"routing.http.drop_invalid_header_fields.enabled": "yes"}, "is true or false"),
        ({"access_logs.s3.prefix": "lb/AWSLogs"}, "a prefix cannot include AWSLogs"),
        ({"access_logs.s3.bucket": ""}, "access_logs.s3.enabled needs access_logs.s3.bucket"),
    ],
)
def test_attributes_that_aws_refuses_are_refused(class_params, changes, reason):
    with pytest.raises(AssertionError, match=re.escape(reason)):
        class_params({**OURS, **changes})
