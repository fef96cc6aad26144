"""The rules on the committed stacks, and the setting `policies.exceptions`."""

import json
import re
import time
from copy import deepcopy
from dataclasses import replace

import pulumi
import pytest

from ops import stack_files
from ops.plan.mock_engine import Secret
from ops.plan.policy_report import evaluate, view_of
from policies import rules, view
from settings import parse
from settings.policies import PolicySettings
from tests.unit.stacks.committed import STACKS, find

REMOVED = object()
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
POOL = "NodePool nodes-pool"
WORKERS_TOLERATION = {"key": "airflow-platform/nodes", "value": "workers"}
ANY_TOLERATION = {"key": "airflow-platform/nodes", "operator": "Exists"}
GENERATION = {
    "key": "eks.amazonaws.com/instance-generation",
    "operator": "Gt",
    "values": ["4"],
}
SPOT = {"requirements": [{"key": "karpenter.sh/capacity-type", "values": ["spot"]}, GENERATION]}
S3_ON_ALL = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
ANY_PRINCIPAL = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*"}]})
CIDRS_ONLY = {"alb.ingress.kubernetes.io/inbound-cidrs": "10.0.0.0/8"}
REASON = "the registry is moved until March, the platform team decided"
SETTINGS = "airflow-platform:settings"
TOO_SHORT = "needs a reason of at least 30 characters: who decided, until when"
NOT_A_RULE = "no-such is not a rule; rules that allow an exception: " + ", ".join(
    sorted(rule.name for rule in rules.RULES if rule.excusable)
)

# A changed input of one resource of prod: dotted path, value. The rule that it breaks.
CHANGES = {
    "database-is-private": [("Instance", "publiclyAccessible", True)],
    "database-is-encrypted": [("Instance", "storageEncrypted", REMOVED)],
    "database-requires-tls": [
        ("Instance", "parameterGroupName", REMOVED),
        ("ParameterGroup", "parameters.0.value", "0"),
    ],
    "database-auto-minor-version-upgrade": [("Instance", "autoMinorVersionUpgrade", False)],
    "deletion-protection-consistent": [
        ("Instance", "deletionProtection", REMOVED),
        ("Cluster cluster-eks", "deletionProtection", False),
    ],
    "database-final-snapshot": [("Instance", "skipFinalSnapshot", True)],
    "database-backup-retention": [("Instance", "backupRetentionPeriod", 6)],
    "database-multi-az": [("Instance", "multiAz", False)],
    "postgresql-version-supported": [("Instance", "engineVersion", "13")],
    "no-plaintext-secrets": [
        ("Instance", "password", "hunter2"),
        ("Release airflow-release", "values.env", [{"name": "API_TOKEN", "value": "hunter2"}]),
    ],
    "bucket-is-private": [
        ("BucketPublicAccessBlock", "blockPublicPolicy", REMOVED),
        ("BucketPublicAccessBlock", "bucket", "another-bucket"),
    ],
    "bucket-is-encrypted": [("BucketServerSideEncryptionConfiguration", "rules", [])],
    "bucket-requires-tls": [("BucketPolicy", "policy", "{}")],
    "bucket-has-lifecycle": [("BucketLifecycleConfiguration", "rules.0.status", "Disabled")],
    "volumes-are-encrypted": [("StorageClass", "parameters.encrypted", "false")],
    "kms-key-rotation-enabled": [("Key", "enableKeyRotation", False)],
    "no-public-ingress": [
        ("SecurityGroupIngressRule database-from-clients", "cidrIpv4", "0.0.0.0/0")
    ],
    "no-inline-security-group-rules": [("SecurityGroup", "ingress", [{"self": True}])],
    "security-group-rules-have-descriptions": [
        ("SecurityGroupIngressRule database-from-clients", "description", REMOVED),
        ("SecurityGroup", "description", REMOVED),
    ],
    "vpc-flow-logs-enabled": [("FlowLog", "vpcId", "vpc-of-another-stack")],
    "iam-least-privilege": [("RolePolicy logs-airflow-worker", "policy", S3_ON_ALL)],
    "iam-trust-no-wildcard": [("Role logs-airflow-worker", "assumeRolePolicy", ANY_PRINCIPAL)],
    "cluster-encrypts-secrets": [("Cluster cluster-eks", "encryptionConfigKeyArn", REMOVED)],
    "cluster-audit-log-enabled": [("Cluster cluster-eks", "enabledClusterLogTypes", ["api"])],
    "cluster-endpoint-access-restricted": [("Cluster cluster-eks", "endpointPublicAccess", True)],
    "kubernetes-version-supported": [("Cluster cluster-eks", "version", "1.31")],
    "node-generation-current": [(POOL, f"{POD}.requirements", [])],
    "default-tags-required": [
        ("NodeClass", "spec.tags", REMOVED),
        ("IngressClassParams", "spec.tags", []),
        ("StorageClass", "parameters.tagSpecification_1", "managed-by=hand"),
    ],
    "spot-only-for-workers": [
        (POOL, POD, SPOT),
        ("StatefulSet redis-server", f"{POD}.tolerations", [ANY_TOLERATION]),
        ("Release airflow-release", "values.scheduler.tolerations", [WORKERS_TOLERATION]),
    ],
    "containers-request-resources": [
        ("StatefulSet redis-server", f"{CONTAINER}.resources.limits", REMOVED),
        ("Release airflow-release", "values.statsd", {"resources": None}),
    ],
    "pod-security-context-restricted": [
        ("StatefulSet redis-server", f"{POD}.securityContext", REMOVED)
    ],
    "namespace-pod-security-restricted": [
        ("Namespace namespace-namespace", "metadata.labels", REMOVED)
    ],
    "default-deny-network-policy": [
        ("NetworkPolicy namespace-deny-ingress", "spec.policyTypes", []),
        ("NetworkPolicy keda-deny-ingress", "spec.policyTypes", []),
    ],
    "image-tag-pinned": [("StatefulSet redis-server", f"{CONTAINER}.image", "redis:latest")],
    "secrets-encrypted-in-state": [("Secret redis-config", "stringData.password", "hunter2")],
    "no-secrets-in-helm-values": [
        ("Release airflow-release", "values.env", [{"name": "X", "value": Secret("hunter2")}])
    ],
    "nat-gateway-per-az": [("NatGateway network-nat-1", "subnetId", "network-public-0-id")],
    "ui-requires-tls": [
        ("Release airflow-release", "values.ingress.apiServer.annotations", CIDRS_ONLY),
        ("IngressClassParams", "spec.certificateARNs", []),
    ],
    "load-balancer-drops-invalid-headers": [
        ("IngressClassParams", "spec.loadBalancerAttributes.0.value", "false")
    ],
    "load-balancer-access-logs": [
        ("IngressClassParams", "spec.loadBalancerAttributes.1.value", "false")
    ],
    None: [("StatefulSet redis-server", f"{CONTAINER}.image", "redis@sha256:0")],
}


@pytest.fixture
def policy_report(stack):
    """The policy report of a committed stack, with its own or other `policies`."""

    def report(name, policies=None, change=lambda snapshot: snapshot):
        snapshot, settings = stack(name)
        return evaluate(name, change(snapshot), policies or settings.policies)

    return report


def rules_of(lines):
    return {line.partition(":")[0] for line in lines}


def with_resource(snapshot, resource):
    resources = {**snapshot.resources, resource.urn: resource}
    return replace(snapshot, resources=resources)


def changed(label, path, value):
    """A change of one input of one resource."""

    def change(snapshot):
        before = find(snapshot, label)
        inputs = deepcopy(before.inputs)
        *parents, last = path.split(".")
        inner = inputs
        for key in parents:
            inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
        if value is REMOVED:
            del inner[last]
        else:
            inner[last] = value
        return with_resource(snapshot, replace(before, inputs=inputs))

    return change


@pytest.mark.parametrize("name", STACKS)
def test_committed_stacks_break_no_rule(policy_report, name):
    assert policy_report(name).broken == []


# Of Airflow 3.3.2 and KEDA 2.20.2: the defaults that the cluster tests run.
KNOWN_ADVISORIES = {"cve-2026-68982", "cve-2026-77524"}


def test_the_production_stack_has_few_exceptions(policy_report):
    assert rules_of(policy_report("prod").excused) == {"image-digest-pinned", *KNOWN_ADVISORIES}


@pytest.mark.parametrize("name", ["dev", "staging"])
def test_other_stacks_are_warned_of_the_same_advisories(policy_report, name):
    warned = rules_of(policy_report(name).warnings)
    assert {rule for rule in warned if rule.startswith("cve-")} == KNOWN_ADVISORIES


@pytest.mark.parametrize("name", STACKS)
def test_the_digest_of_every_image_has_a_setting(policy_report, stack, name):
    lines = policy_report(name, PolicySettings(level="production")).broken
    lines = [line for line in lines if line.startswith("image-digest-pinned")]

    assert lines
    settings = stack(name)[1]
    for line in lines:
        named = re.search(r"prints the digest: set (\w+)\.(\w+)\.$", line)
        assert named, f"name the setting in DIGESTS of policies/images.py: {line}"
        section, key = named.groups()
        assert key in type(getattr(settings, section)).model_fields


@pytest.mark.parametrize("name", STACKS)
def test_committed_stacks_use_the_current_rule_names(stack, name):
    former = sorted(stack(name)[1].policies.exceptions.keys() & rules.NEW_NAMES.keys())
    assert former == [], f"rename these keys of policies.exceptions in Pulumi.{name}.yaml"


def test_findings_do_not_depend_on_the_registration_order(policy_report):
    def reverse(snapshot):
        return replace(snapshot, resources=dict(reversed(snapshot.resources.items())))

    excused = policy_report("prod").excused
    assert len(excused) > 1
    assert policy_report("prod", change=reverse).excused == excused


@pytest.mark.parametrize(
    ("rule", "label", "path", "value"),
    [
        pytest.param(rule, *change, id=f"{rule}-{number}")
        for rule, changes in CHANGES.items()
        for number, change in enumerate(changes)
    ],
)
def test_a_dangerous_change_breaks_exactly_one_rule(policy_report, rule, label, path, value):
    broken = policy_report("prod", change=changed(label, path, value)).broken
    assert rules_of(broken) == ({rule} if rule else set())


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
        "vpc-flow-logs-enabled",
        *KNOWN_ADVISORIES,
    }
    assert policy_report("dev", PolicySettings(level="development")).broken == []


def test_the_default_level_is_production():
    assert PolicySettings().level == "production"


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
            view_of("prod", snapshot),
            resources=tuple(view.Resource(**vars(resource)) for resource in declared),
        )
        return rules.evaluate(seen, level="production", exceptions={})

    snapshot, _ = stack("prod")
    registered = sorted(snapshot.resources.values(), key=lambda r: r.urn)
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
    snapshot, settings = stack("prod")
    start = time.perf_counter()
    evaluate("prod", snapshot, settings.policies)
    assert time.perf_counter() - start < 1
