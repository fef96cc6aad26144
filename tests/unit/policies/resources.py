"""Small resources, and the findings of a rule."""

import json
from datetime import date

from policies import rules
from policies.view import Resource, Stack

BY_NAME = {rule.name: rule for rule in rules.RULES}
TODAY = date(2026, 11, 24)
TAGS = {"project": "airflow-platform", "stack": "mine", "managed-by": "pulumi"}
ANYWHERE = "0.0.0.0/0"

DATABASE = "aws:rds/instance:Instance"
BUCKET = "aws:s3/bucket:Bucket"
KMS_KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
CLUSTER_COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
RELEASE = "kubernetes:helm.sh/v3:Release"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
VOLUME_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
REQUESTS_AND_LIMITS = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}


def resource(type, name="it", /, *, protect=False, parent="", provider="", depends_on=(), **inputs):
    return Resource(
        urn=f"urn:pulumi:mine::airflow-platform::{type}::{name}",
        type=type,
        name=name,
        inputs=inputs,
        protect=protect,
        parent=parent,
        provider=provider,
        depends_on=frozenset(depends_on),
    )


def stack_of(*resources, today=TODAY, tags=TAGS):
    return Stack(name="mine", resources=resources, default_tags=tags, today=today)


def findings(rule, *resources, **stack):
    return list(BY_NAME[rule].check(stack_of(*resources, **stack)))


def iam_policy(effect="Allow", action="s3:GetObject", target="arn:aws:s3:::logs/*", **more):
    statement = {"Effect": effect, "Action": action, "Resource": target, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def database(**inputs):
    return resource(DATABASE, "db", **inputs)


def airflow(**values):
    return resource(RELEASE, "airflow-release", name="airflow", values=values)


def container(**changed):
    return {
        "name": "main",
        "image": "redis:7.2",
        "resources": REQUESTS_AND_LIMITS,
        "securityContext": {"allowPrivilegeEscalation": False},
        **changed,
    }


def server(*containers, namespace="airflow", **pod):
    spec = {
        "securityContext": {"runAsNonRoot": True},
        "containers": list(containers) or [container()],
        **pod,
    }
    metadata = {"namespace": namespace}
    return resource(STATEFUL_SET, "redis", metadata=metadata, spec={"template": {"spec": spec}})
