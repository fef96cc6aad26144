"""The rules on the committed stacks, and the setting `policies.exceptions`."""

import json
import time
from copy import deepcopy
from dataclasses import replace

import pulumi
import pulumi_kubernetes as k8s
import pytest

from ops import stack_files
from ops.plan import mock_engine
from ops.plan.mock_engine import Secret
from ops.plan.policy_report import evaluate, view_of
from policies import rules, view
from settings import parse
from settings.policies import PolicySettings

INSTANCE = ("aws:rds/instance:Instance", "database-instance")
CLUSTER = ("eks:index:Cluster", "cluster-eks")
SERVER = ("kubernetes:apps/v1:StatefulSet", "redis-server")
BLOCK = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "logs-private")
RELEASE = ("kubernetes:helm.sh/v3:Release", "airflow-release")
REMOVED = object()
POD = "spec.template.spec"
REASON = "the registry is moved until March, the platform team decided"
SETTINGS = "airflow-platform:settings"
TOO_SHORT = "needs a reason of at least 30 characters: who decided, until when"
NOT_A_RULE = "no-such is not a rule; rules that allow an exception: " + ", ".join(
    sorted(rule.name for rule in rules.RULES if rule.excusable)
)

# A changed input of one resource of prod: dotted path, value, the rule that finds it.
CHANGES = [
    (INSTANCE, "publiclyAccessible", True, "database-is-private"),
    (INSTANCE, "storageEncrypted", REMOVED, "database-is-encrypted"),
    (INSTANCE, "parameterGroupName", REMOVED, "database-requires-tls"),
    (INSTANCE, "autoMinorVersionUpgrade", False, "database-auto-minor-version-upgrade"),
    (INSTANCE, "deletionProtection", REMOVED, "deletion-protection-consistent"),
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
    (BLOCK, "blockPublicPolicy", REMOVED, "bucket-is-private"),
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
    (
        ("aws:kms/key:Key", "cluster-secrets"),
        "enableKeyRotation",
        False,
        "kms-key-rotation-enabled",
    ),
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
    (CLUSTER, "encryptionConfigKeyArn", REMOVED, "cluster-encrypts-secrets"),
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
    (SERVER, f"{POD}.containers.0.resources.limits", REMOVED, "containers-request-resources"),
    (RELEASE, "values.statsd", {"resources": None}, "containers-request-resources"),
    (SERVER, f"{POD}.securityContext", REMOVED, "pod-security-context-restricted"),
    (
        ("kubernetes:core/v1:Namespace", "namespace-namespace"),
        "metadata.labels",
        REMOVED,
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
    (
        RELEASE,
        "values.env",
        [{"name": "X", "value": Secret("hunter2")}],
        "no-secrets-in-helm-values",
    ),
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
def policy_report(stack):
    """The policy report of a committed stack, with its own or other `policies`."""

    def report(name, policies=None, change=lambda declaration: declaration):
        declaration, settings = stack(name)
        return evaluate(name, change(declaration), policies or settings.policies)

    return report


def rules_of(lines):
    return {line.partition(":")[0] for line in lines}


def changed(resource, path, value):
    """A change of one input of one resource."""

    def change(declaration):
        before = declaration.one(*resource)
        inputs = deepcopy(before.inputs)
        *parents, last = path.split(".")
        inner = inputs
        for key in parents:
            inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
        if value is REMOVED:
            del inner[last]
        else:
            inner[last] = value
        resources = {**declaration.resources, before.urn: replace(before, inputs=inputs)}
        return mock_engine.Declaration(resources=resources, exports=declaration.exports)

    return change


@pytest.mark.parametrize("name", stack_files.stack_names())
def test_committed_stacks_break_no_rule(policy_report, name):
    assert policy_report(name).broken == []


def test_the_production_stack_is_excused_from_digests_only(policy_report):
    assert rules_of(policy_report("prod").excused) == {"image-digest-pinned"}


def test_committed_stacks_use_the_current_rule_names(stack):
    for name in stack_files.stack_names():
        exceptions = stack(name)[1].policies.exceptions
        former = sorted(exceptions.keys() & rules.NEW_NAMES.keys())
        assert former == [], f"rename these keys of policies.exceptions in Pulumi.{name}.yaml"


def test_findings_do_not_depend_on_the_registration_order(policy_report):
    def reverse(declaration):
        resources = dict(reversed(declaration.resources.items()))
        return mock_engine.Declaration(resources=resources, exports=declaration.exports)

    excused = policy_report("prod").excused
    assert len(excused) > 1
    assert policy_report("prod", change=reverse).excused == excused


@pytest.mark.parametrize(("resource", "path", "value", "rule"), CHANGES)
def test_a_dangerous_change_breaks_exactly_one_rule(policy_report, resource, path, value, rule):
    broken = policy_report("prod", change=changed(resource, path, value)).broken
    assert rules_of(broken) == ({rule} if rule else set())


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
def test_production_protects_its_stateful_resources(policy_report, resource):
    def unprotected(declaration):
        before = declaration.one(*resource)
        resources = {**declaration.resources, before.urn: replace(before, protect=False)}
        return mock_engine.Declaration(resources=resources)

    breach = f"stateful-resources-protected: {resource[1]}: protect is false."
    assert any(line.startswith(breach) for line in policy_report("prod", None, unprotected).broken)


def test_a_missing_kubernetes_provider_is_a_breach(deploy):
    declaration = deploy(lambda: k8s.core.v1.ConfigMap("stray", data={"a": "b"}))

    (broken,) = evaluate("local", declaration, PolicySettings()).broken
    assert broken.startswith(
        "explicit-kubernetes-provider: stray: the resource uses the default Kubernetes provider."
    )


def test_default_tags_are_read_from_the_stack_file(policy_report, monkeypatch):
    monkeypatch.setattr(stack_files, "read_stack", lambda stack: iter([]))
    lines = policy_report("dev").broken
    assert [line.partition(":")[0] for line in lines] == ["default-tags-required"] * 3


def test_production_rules_skip_development_stacks(policy_report):
    strict = policy_report("dev", PolicySettings(level="production")).broken
    assert rules_of(strict) == {
        "database-final-snapshot",
        "database-multi-az",
        "image-digest-pinned",
        "nat-gateway-per-az",
        "stateful-resources-protected",
    }
    assert policy_report("dev", PolicySettings(level="development")).broken == []


def test_the_default_level_is_production():
    assert PolicySettings().level == "production"


def test_a_former_name_excuses_a_stack_with_a_warning(policy_report):
    excused = policy_report("prod").excused
    assert policy_report("prod", PolicySettings()).broken != []

    report = policy_report("prod", PolicySettings(exceptions={"images-have-a-digest": REASON}))
    assert report.broken == []
    assert len(report.excused) == len(excused)
    assert report.warnings == [
        "policies.exceptions.images-have-a-digest: the rule is now named image-digest-pinned; "
        "rename this key"
    ]


def test_secret_values_do_not_change_the_policy_report(stack):
    def inputs(value, secret):
        if isinstance(value, Secret):
            return secret(value.value)
        if isinstance(value, dict):
            return {key: inputs(inner, secret) for key, inner in value.items()}
        return [inputs(inner, secret) for inner in value] if isinstance(value, list) else value

    def evaluated(secret):
        declared = [replace(r, inputs=inputs(r.inputs, secret)) for r in registered]
        seen = replace(
            view_of("prod", declaration),
            resources=tuple(view.Resource(**vars(resource)) for resource in declared),
        )
        return rules.evaluate(seen, level="production", exceptions={})

    declaration, _ = stack("prod")
    registered = sorted(declaration.resources.values(), key=lambda r: r.urn)
    assert evaluated(view.Secret) == evaluated(lambda value: view.Secret()), "use isinstance only"


@pytest.mark.parametrize(
    ("exceptions", "errors"),
    [
        ({"no-such": REASON}, [NOT_A_RULE]),
        ({"database-is-private": REASON}, ["database-is-private does not allow an exception"]),
        ({"trust-is-named": REASON}, ["trust-is-named does not allow an exception"]),
        (
            {"kms-key-rotation-enabled": f"later{' ' * 30}"},
            [f"kms-key-rotation-enabled {TOO_SHORT}"],
        ),
        ({"keys-rotate": "later"}, [f"keys-rotate {TOO_SHORT}"]),
        (
            {"keys-rotate": REASON, "kms-key-rotation-enabled": REASON},
            ["keys-rotate is the former name of kms-key-rotation-enabled; remove keys-rotate"],
        ),
        (
            {"no-such": REASON, "kms-key-rotation-enabled": "later"},
            [NOT_A_RULE, f"kms-key-rotation-enabled {TOO_SHORT}"],
        ),
    ],
    ids=["unknown", "not excusable", "former, not excusable", "blank", "short", "both", "two"],
)
def test_an_invalid_exception_is_refused(deploy, exceptions, errors):
    with pytest.raises(pulumi.RunError) as refused:
        deploy(lambda: parse({"policies": {"exceptions": exceptions}}, SETTINGS))
    line = f"  {SETTINGS}.policies.exceptions: {'; '.join(errors)}"
    assert line in str(refused.value).splitlines()


@pytest.mark.parametrize("name", ["kms-key-rotation-enabled", "keys-rotate"])
def test_an_exception_may_use_the_name_or_the_former_name(name):
    assert PolicySettings(exceptions={name: REASON}).exceptions == {name: REASON}


def test_an_unknown_level_is_refused(deploy):
    with pytest.raises(pulumi.RunError, match=r"policies.level: Input should be 'production' or"):
        deploy(lambda: parse({"policies": {"level": "prod"}}, SETTINGS))


def test_all_rules_take_less_than_a_second(stack):
    declaration, settings = stack("prod")
    start = time.perf_counter()
    evaluate("prod", declaration, settings.policies)
    assert time.perf_counter() - start < 1
