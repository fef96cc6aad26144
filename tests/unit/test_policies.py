"""The rules on the committed stacks, and what a stack may be excused from."""

import json
import time
from copy import deepcopy
from dataclasses import replace

import pulumi
import pulumi_kubernetes as k8s
import pytest

from plan import engine, verdict
from plan.engine import Secret
from policies import rules
from sections.policies import PolicySettings
from settings import parse

INSTANCE = ("aws:rds/instance:Instance", "database-instance")
CLUSTER = ("eks:index:Cluster", "cluster-eks")
SERVER = ("kubernetes:apps/v1:StatefulSet", "redis-server")
BLOCK = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "logs-private")
RELEASE = ("kubernetes:helm.sh/v3:Release", "airflow-release")
GONE = object()
POD = "spec.template.spec"
DIGESTS = "image-digest-pinned"
REASON = "the registry is moved until March, the platform team decided"

# What the program wires, one resource of prod each: input by dotted path, its value, the rule that notices.
CHANGES = [
    (INSTANCE, "publiclyAccessible", True, "database-is-private"),
    (INSTANCE, "storageEncrypted", GONE, "database-is-encrypted"),
    (INSTANCE, "parameterGroupName", GONE, "database-requires-tls"),
    (INSTANCE, "autoMinorVersionUpgrade", False, "database-auto-minor-version-upgrade"),
    (INSTANCE, "deletionProtection", GONE, "deletion-protection-consistent"),
    (INSTANCE, "skipFinalSnapshot", True, "database-final-snapshot"),
    (INSTANCE, "backupRetentionPeriod", 6, "database-backup-retention"),
    (INSTANCE, "multiAz", False, "database-multi-az"),
    (INSTANCE, "engineVersion", "13", "postgresql-version-supported"),
    (INSTANCE, "password", "hunter2", "no-plaintext-secrets"),
    (
        ("aws:rds/parameterGroup:ParameterGroup", "database-parameters"),
        "parameters.0.value",
        "0",
        "database-requires-tls",
    ),
    (BLOCK, "blockPublicPolicy", GONE, "bucket-is-private"),
    (BLOCK, "bucket", "another-bucket", "bucket-is-private"),
    (
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "logs-encryption",
        ),
        "rules",
        [],
        "bucket-is-encrypted",
    ),
    (
        ("aws:s3/bucketPolicy:BucketPolicy", "logs-tls-only"),
        "policy",
        "{}",
        "bucket-requires-tls",
    ),
    (
        ("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "logs-retention"),
        "rules.0.status",
        "Disabled",
        "bucket-has-lifecycle",
    ),
    (
        ("kubernetes:storage.k8s.io/v1:StorageClass", "cluster-storage"),
        "parameters.encrypted",
        "false",
        "volumes-are-encrypted",
    ),
    (("aws:kms/key:Key", "cluster-secrets"), "enableKeyRotation", False, "kms-key-rotation-enabled"),
    (
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "database-from-clients"),
        "cidrIpv4",
        "0.0.0.0/0",
        "no-public-ingress",
    ),
    (
        ("aws:ec2/securityGroup:SecurityGroup", "database-firewall"),
        "ingress",
        [{"self": True}],
        "no-inline-security-group-rules",
    ),
    (
        ("aws:iam/rolePolicy:RolePolicy", "logs-airflow-worker"),
        "policy",
        json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}),
        "iam-least-privilege",
    ),
    (
        ("aws:iam/role:Role", "logs-airflow-worker"),
        "assumeRolePolicy",
        json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*"}]}),
        "iam-trust-no-wildcard",
    ),
    (CLUSTER, "encryptionConfigKeyArn", GONE, "cluster-encrypts-secrets"),
    (CLUSTER, "enabledClusterLogTypes", ["api"], "cluster-audit-log-enabled"),
    (CLUSTER, "endpointPublicAccess", True, "cluster-endpoint-access-restricted"),
    (CLUSTER, "version", "1.31", "kubernetes-version-supported"),
    (CLUSTER, "deletionProtection", False, "deletion-protection-consistent"),
    (
        ("kubernetes:karpenter.sh/v1:NodePool", "worker-nodes-pool"),
        "spec.template.spec",
        {"requirements": [{"key": "karpenter.sh/capacity-type", "values": ["spot"]}]},
        "spot-only-for-workers",
    ),
    (
        SERVER,
        f"{POD}.tolerations",
        [{"key": "airflow-platform/nodes", "operator": "Exists"}],
        "spot-only-for-workers",
    ),
    (
        RELEASE,
        "values.scheduler.tolerations",
        [{"key": "airflow-platform/nodes", "value": "workers"}],
        "spot-only-for-workers",
    ),
    (SERVER, f"{POD}.containers.0.resources.limits", GONE, "containers-request-resources"),
    (RELEASE, "values.statsd", {"resources": None}, "containers-request-resources"),
    (SERVER, f"{POD}.securityContext", GONE, "pod-security-context-restricted"),
    (
        ("kubernetes:core/v1:Namespace", "namespace-namespace"),
        "metadata.labels",
        GONE,
        "namespace-pod-security-restricted",
    ),
    (
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "namespace-deny-ingress"),
        "spec.policyTypes",
        [],
        "default-deny-network-policy",
    ),
    (SERVER, f"{POD}.containers.0.image", "redis@sha256:0", None),
    (SERVER, f"{POD}.containers.0.image", "redis:latest", "image-tag-pinned"),
    (
        ("kubernetes:core/v1:Secret", "redis-config"),
        "stringData.password",
        "hunter2",
        "secrets-encrypted-in-state",
    ),
    (RELEASE, "values.env", [{"name": "X", "value": Secret("hunter2")}], "no-secrets-in-helm-values"),
    (RELEASE, "values.env", [{"name": "API_TOKEN", "value": "hunter2"}], "no-plaintext-secrets"),
    (
        ("aws:ec2/natGateway:NatGateway", "network-nat-1"),
        "subnetId",
        "network-public-0-id",
        "nat-gateway-per-az",
    ),
    (
        RELEASE,
        "values.ingress.apiServer.annotations",
        {"alb.ingress.kubernetes.io/inbound-cidrs": "10.0.0.0/8"},
        "ui-requires-tls",
    ),
    (
        ("kubernetes:eks.amazonaws.com/v1:IngressClassParams", "load-balancer-parameters"),
        "spec.certificateARNs",
        [],
        "ui-requires-tls",
    ),
]


@pytest.fixture
def judged(stack):
    """The verdict on a committed stack, with its own settings or others."""

    def judge(name, policies=None, change=lambda declaration: declaration):
        declaration, settings = stack(name)
        return verdict.of(name, change(declaration), policies or settings.policies)

    return judge


def altered(resource, path, value):
    """A change of one input of one resource."""

    def change(declaration):
        before = declaration.one(*resource)
        inputs = deepcopy(before.inputs)
        *parents, last = path.split(".")
        inner = inputs
        for key in parents:
            inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
        if value is GONE:
            del inner[last]
        else:
            inner[last] = value
        changed = {**declaration.resources, before.urn: replace(before, inputs=inputs)}
        return engine.Declaration(resources=changed, exports=declaration.exports)

    return change


@pytest.mark.parametrize("name", engine.stack_names())
def test_no_committed_stack_breaks_a_rule(judged, name):
    assert judged(name).broken == []


def test_the_production_stack_is_excused_from_digests_only(judged):
    assert judged("prod").excused
    assert {line.partition(":")[0] for line in judged("prod").excused} == {DIGESTS}


def test_findings_have_an_order_whatever_is_declared_first(judged):
    def the_other_way_round(declaration):
        resources = dict(reversed(declaration.resources.items()))
        return engine.Declaration(resources=resources, exports=declaration.exports)

    excused = judged("prod").excused
    assert len(excused) > 1
    assert judged("prod", change=the_other_way_round).excused == excused


@pytest.mark.parametrize(("resource", "path", "value", "rule"), CHANGES)
def test_a_dangerous_change_of_the_program_breaks_one_rule(judged, resource, path, value, rule):
    broken = judged("prod", change=altered(resource, path, value)).broken
    assert {line.partition(":")[0] for line in broken} == ({rule} if rule else set())


@pytest.mark.parametrize(
    "resource",
    [
        INSTANCE,
        CLUSTER,
        ("aws:s3/bucket:Bucket", "logs-bucket"),
        ("aws:kms/key:Key", "cluster-secrets"),
        ("kubernetes:core/v1:PersistentVolumeClaim", "redis-data"),
    ],
)
def test_production_protects_whatever_keeps_data(judged, resource):
    def unprotected(declaration):
        before = declaration.one(*resource)
        changed = {**declaration.resources, before.urn: replace(before, protect=False)}
        return engine.Declaration(resources=changed)

    lines = judged("prod", change=unprotected).broken
    assert any(
        line.startswith(f"stateful-resources-protected: {resource[1]}: protect is false.") for line in lines
    )


def test_a_program_that_forgets_the_provider_is_told_which_resource_it_is(deploy):
    declaration = deploy(lambda: k8s.core.v1.ConfigMap("stray", data={"a": "b"}))

    (broken,) = verdict.of("local", declaration, PolicySettings()).broken
    assert broken.startswith("explicit-kubernetes-provider: stray: provider is the ambient one.")


def test_the_tags_come_from_the_stack_file(judged, monkeypatch):
    monkeypatch.setattr(engine, "read_stack", lambda stack: iter([]))
    lines = judged("dev").broken
    assert [line.split(":")[0] for line in lines] == ["default-tags-required"] * 3


def test_rules_for_production_leave_other_stacks_alone(judged):
    strict = judged("dev", PolicySettings(level="production")).broken
    assert {line.partition(":")[0] for line in strict} == {
        "stateful-resources-protected",
        "database-multi-az",
        "nat-gateway-per-az",
        DIGESTS,
        "database-final-snapshot",
    }
    assert judged("dev", PolicySettings(level="development")).broken == []


def test_a_stack_is_production_unless_it_says_otherwise():
    assert PolicySettings().level == "production"


def test_an_exception_excuses_its_rule_and_shows_its_reason(judged):
    assert judged("prod", PolicySettings()).broken != []

    found = judged("prod", PolicySettings(exceptions={DIGESTS: REASON}))
    assert found.broken == []
    assert found.excused
    assert all(line.endswith(f" Excused: {REASON}") for line in found.excused)


def test_an_exception_that_excuses_nothing_is_a_breach(judged):
    settings = PolicySettings(level="development", exceptions={"kms-key-rotation-enabled": REASON})
    assert judged("dev", settings).broken == [
        "no-unused-exceptions: Pulumi.dev.yaml: policies.exceptions.kms-key-rotation-enabled excuses nothing. "
        "An old excuse hides the next breach. Remove it."
    ]


def test_an_exception_for_previews_cannot_be_judged_offline(judged):
    settings = PolicySettings(level="development", exceptions={"no-stateful-deletion": REASON})
    assert judged("dev", settings).broken == []


def test_a_warning_stops_nothing_and_an_exception_silences_it(judged):
    ending = altered(("eks:index:Cluster", "cluster-eks"), "version", "1.34")
    (warning,) = judged("dev", change=ending).warnings
    assert warning.startswith("kubernetes-version-supported: cluster-eks: version is 1.34")

    settings = PolicySettings(level="development", exceptions={"kubernetes-version-supported": REASON})
    found = judged("dev", settings, ending)
    assert (found.broken, found.warnings, len(found.excused)) == ([], [], 1)


KEY = "airflow-platform:settings"


@pytest.mark.parametrize(
    ("policies", "complaint"),
    [
        ({"exceptions": {"no-such": REASON}}, "no-such is no rule; docs/policies.md lists them"),
        (
            {"exceptions": {"database-is-private": REASON}},
            "database-is-private allows no exception",
        ),
        (
            {"exceptions": {"kms-key-rotation-enabled": f"later{' ' * 30}"}},
            "kms-key-rotation-enabled needs a reason of 30 characters at least: who decided, until when",
        ),
        (
            {"exceptions": {"no-such": REASON, "kms-key-rotation-enabled": "later"}},
            "no-such is no rule; docs/policies.md lists them; "
            "kms-key-rotation-enabled needs a reason of 30 characters at least: who decided, until when",
        ),
    ],
)
def test_an_exception_needs_a_rule_that_allows_it_and_a_reason(deploy, policies, complaint):
    given = {"policies": policies}
    with pytest.raises(pulumi.RunError) as error:
        deploy(lambda: parse(given, KEY))
    assert f"  {KEY}.policies.exceptions: {complaint}" in str(error.value).splitlines()


def test_a_level_is_one_of_two(deploy):
    with pytest.raises(pulumi.RunError, match=r"policies.level: Input should be 'production' or"):
        deploy(lambda: parse({"policies": {"level": "prod"}}, KEY))


def test_every_name_is_one_of_its_own_and_every_rule_says_why():
    names = [rule.name for rule in rules.RULES]
    assert len(names) == len(set(names)) >= 25
    assert all(rule.reason and not rule.reason.endswith(".") for rule in rules.RULES)


def test_only_these_rules_allow_an_exception():
    assert {rule.name for rule in rules.RULES if rule.excusable} == {
        "database-backup-retention",
        "bucket-has-lifecycle",
        "cluster-endpoint-access-restricted",
        "containers-request-resources",
        "stateful-resources-protected",
        "database-auto-minor-version-upgrade",
        "database-multi-az",
        "nat-gateway-per-az",
        "no-public-ingress",
        "image-digest-pinned",
        "kms-key-rotation-enabled",
        "kubernetes-version-supported",
        "database-final-snapshot",
        "log-group-has-retention",
        "postgresql-version-supported",
        "iam-least-privilege",
        "no-stateful-deletion",
        "ui-access-restricted",
    }


def test_these_rules_are_for_production_only():
    assert {rule.name for rule in rules.RULES if rule.level == "production"} == {
        "database-backup-retention",
        "stateful-resources-protected",
        "database-multi-az",
        "nat-gateway-per-az",
        "image-digest-pinned",
        "database-final-snapshot",
    }


def test_the_pack_leaves_out_only_what_it_cannot_see():
    assert {rule.name: rule.seen_by for rule in rules.RULES if rule.seen_by != "plan and pack"} == {
        "no-inline-security-group-rules": "plan",
        "no-plaintext-secrets": "plan",
        "no-secrets-in-helm-values": "plan",
        "secrets-encrypted-in-state": "plan",
        "no-stateful-deletion": "preview",
    }


def test_all_rules_take_less_than_a_second(stack):
    declaration, settings = stack("prod")
    start = time.perf_counter()
    verdict.of("prod", declaration, settings.policies)
    assert time.perf_counter() - start < 1
