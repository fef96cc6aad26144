import json
from copy import deepcopy
from dataclasses import replace

import pulumi_kubernetes as k8s
import pytest

from plan import engine, rules
from plan.engine import Secret

DATABASE = ("aws:rds/instance:Instance", "database-instance")
PARAMETERS = ("aws:rds/parameterGroup:ParameterGroup", "database-parameters")
BLOCK = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "logs-private")
INGRESS = ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "database-from-clients")
POLICY = ("aws:iam/rolePolicy:RolePolicy", "logs-airflow-worker")
CLUSTER = ("eks:index:Cluster", "cluster-eks")
SECRET = ("kubernetes:core/v1:Secret", "redis-config")
RELEASE = ("kubernetes:helm.sh/v3:Release", "keda-release")
CONFIG = ("kubernetes:core/v1:ConfigMap", "keda-database-ca")
SERVER = ("kubernetes:apps/v1:StatefulSet", "redis-server")
NAMESPACE = ("kubernetes:core/v1:Namespace", "namespace-namespace")

UNENCRYPTED = "database-instance: storageEncrypted must be true"
PUBLIC = "database-instance: publiclyAccessible must be false"
NO_TLS = "database-parameters: rds.force_ssl must be 1"
OPEN_BUCKET = "logs-bucket: needs a BucketPublicAccessBlock that blocks everything"
OPEN_FIREWALL = "database-from-clients: must not admit the whole Internet"
NO_KEY = "cluster-eks: Kubernetes Secrets need a KMS key"
NO_AUDIT = "cluster-eks: the audit log must be on"
AS_ROOT = "redis-server: runs as root"
PRIVILEGES = "redis-server: redis may gain privileges"
NO_LIMIT = "redis-server: redis has no memory limit"
UNRESTRICTED = "namespace-namespace: Pod Security must be restricted"
DISAGREE = "protect and deletionProtection must agree"
POD = "inputs.spec.template.spec"
GONE = object()


def policy(action, resource):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# By rule: a resource of prod, what becomes of it, and what the rule says then.
BROKEN = [
    ("databases_are_private_and_encrypted", DATABASE, "inputs.publiclyAccessible", True, PUBLIC),
    ("databases_are_private_and_encrypted", DATABASE, "inputs.publiclyAccessible", GONE, PUBLIC),
    (
        "databases_are_private_and_encrypted",
        DATABASE,
        "inputs.storageEncrypted",
        False,
        UNENCRYPTED,
    ),
    ("databases_are_private_and_encrypted", DATABASE, "inputs.storageEncrypted", GONE, UNENCRYPTED),
    ("databases_speak_tls_only", PARAMETERS, "inputs.parameters.0.value", "0", NO_TLS),
    ("databases_speak_tls_only", PARAMETERS, "inputs.parameters", GONE, NO_TLS),
    ("buckets_are_closed", BLOCK, "inputs.blockPublicAcls", False, OPEN_BUCKET),
    ("buckets_are_closed", BLOCK, "inputs.blockPublicPolicy", GONE, OPEN_BUCKET),
    ("buckets_are_closed", BLOCK, "inputs.ignorePublicAcls", False, OPEN_BUCKET),
    ("buckets_are_closed", BLOCK, "inputs.restrictPublicBuckets", False, OPEN_BUCKET),
    ("buckets_are_closed", BLOCK, "inputs.bucket", "another-bucket", OPEN_BUCKET),
    (
        "firewalls_are_closed_to_the_internet",
        INGRESS,
        "inputs.cidrIpv4",
        "0.0.0.0/0",
        OPEN_FIREWALL,
    ),
    ("firewalls_are_closed_to_the_internet", INGRESS, "inputs.cidrIpv6", "::/0", OPEN_FIREWALL),
    (
        "nobody_may_do_everything",
        POLICY,
        "inputs.policy",
        policy("*", "*"),
        "logs-airflow-worker: ['*'] on every resource",
    ),
    (
        "nobody_may_do_everything",
        POLICY,
        "inputs.policy",
        policy(["s3:GetObject", "s3:*"], "*"),
        "logs-airflow-worker: ['s3:*'] on every resource",
    ),
    (
        "nobody_may_do_everything",
        POLICY,
        "inputs.policy",
        policy("s3:*", ["*"]),
        "logs-airflow-worker: ['s3:*'] on every resource",
    ),
    (
        "clusters_encrypt_secrets_and_keep_logs",
        CLUSTER,
        "inputs.encryptionConfigKeyArn",
        GONE,
        NO_KEY,
    ),
    (
        "clusters_encrypt_secrets_and_keep_logs",
        CLUSTER,
        "inputs.enabledClusterLogTypes",
        ["api"],
        NO_AUDIT,
    ),
    (
        "clusters_encrypt_secrets_and_keep_logs",
        CLUSTER,
        "inputs.enabledClusterLogTypes",
        GONE,
        NO_AUDIT,
    ),
    (
        "kubernetes_secrets_are_secret",
        SECRET,
        "inputs.stringData.password",
        "hunter2",
        "redis-config: password would stand in plain text in the state",
    ),
    (
        "releases_hold_no_secret",
        RELEASE,
        "inputs.values.env",
        [{"name": "TOKEN", "value": Secret("hunter2")}],
        "keda-release: values.env[0].value is secret, and Helm keeps values in plain text",
    ),
    (
        "kubernetes_has_one_way_in",
        CONFIG,
        "provider",
        "",
        "keda-database-ca: would go wherever kubectl points at; pass the provider of the cluster",
    ),
    ("pods_are_restricted", SERVER, f"{POD}.securityContext.runAsNonRoot", False, AS_ROOT),
    ("pods_are_restricted", SERVER, f"{POD}.securityContext", GONE, AS_ROOT),
    (
        "pods_are_restricted",
        SERVER,
        f"{POD}.containers.0.securityContext.allowPrivilegeEscalation",
        GONE,
        PRIVILEGES,
    ),
    ("pods_are_restricted", SERVER, f"{POD}.containers.0.resources.limits", GONE, NO_LIMIT),
    (
        "pods_are_restricted",
        NAMESPACE,
        "inputs.metadata.labels",
        {"pod-security.kubernetes.io/enforce": "baseline"},
        UNRESTRICTED,
    ),
    ("pods_are_restricted", NAMESPACE, "inputs.metadata.labels", GONE, UNRESTRICTED),
    ("protection_is_whole", DATABASE, "protect", False, f"database-instance: {DISAGREE}"),
    (
        "protection_is_whole",
        DATABASE,
        "inputs.deletionProtection",
        GONE,
        f"database-instance: {DISAGREE}",
    ),
    (
        "protection_is_whole",
        CLUSTER,
        "inputs.deletionProtection",
        False,
        f"cluster-eks: {DISAGREE}",
    ),
]


def altered(declaration, resource, path, value):
    """The declaration with another value at the dotted path of one resource."""
    before = declaration.one(*resource)
    after = {"inputs": deepcopy(before.inputs)}
    *parents, last = path.split(".")
    inner = after
    for key in parents:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    resources = {**declaration.resources, before.urn: replace(before, **after)}
    return engine.Declaration(resources=resources, exports=declaration.exports)


@pytest.mark.parametrize("name", engine.stack_names())
def test_no_committed_stack_breaks_a_rule(stack, name):
    declaration, _ = stack(name)

    assert rules.broken(declaration) == []


@pytest.mark.parametrize(("rule", "resource", "path", "value", "reason"), BROKEN)
def test_a_dangerous_change_breaks_one_rule_that_names_the_resource(
    stack, rule, resource, path, value, reason
):
    declaration, _ = stack("prod")

    broken = rules.broken(altered(declaration, resource, path, value))
    assert broken == [f"{rule.replace('_', ' ')}: {reason}"]


def test_every_rule_has_a_case_that_breaks_it():
    assert {case[0] for case in BROKEN} == {rule.__name__ for rule in rules.RULES}


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", "*"),
        (["sts:AssumeRole", "s3:ListAllMyBuckets"], "*"),
        ("s3:*", "arn:aws:s3:::logs-bucket/*"),
    ],
)
def test_a_policy_that_is_narrow_in_actions_or_in_resources_breaks_no_rule(stack, action, resource):
    declaration, _ = stack("prod")

    narrow = altered(declaration, POLICY, "inputs.policy", policy(action, resource))
    assert rules.broken(narrow) == []


def test_a_database_that_nothing_protects_breaks_no_rule(stack):
    declaration, _ = stack("dev")

    unprotected = altered(declaration, DATABASE, "inputs.deletionProtection", GONE)
    assert rules.broken(unprotected) == []


def test_a_program_that_forgets_the_provider_is_told_which_resource_it_is(deploy):
    declaration = deploy(lambda: k8s.core.v1.ConfigMap("stray", data={"a": "b"}))

    (broken,) = rules.broken(declaration)
    assert broken.startswith("kubernetes has one way in: stray: ")


def test_every_broken_rule_is_listed(stack):
    declaration, _ = stack("prod")

    worse = altered(declaration, DATABASE, "inputs.publiclyAccessible", True)
    worse = altered(worse, DATABASE, "inputs.storageEncrypted", False)
    worse = altered(worse, CLUSTER, "inputs.encryptionConfigKeyArn", GONE)
    assert [line.partition(": ")[2] for line in rules.broken(worse)] == [
        PUBLIC,
        UNENCRYPTED,
        NO_KEY,
    ]
