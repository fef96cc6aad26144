"""EKS."""

from collections.abc import Iterator
from typing import Any

from policies.versions import KUBERNETES, KUBERNETES_SOURCE
from tests.engine.simulator.rules.rule import (
    Inputs,
    document,
    network,
    one_of,
    pattern,
    rule,
)
from tests.engine.simulator.schema import Refusal
from tests.engine.simulator.values import UNKNOWN, has_unknown

_API = "https://docs.aws.amazon.com/eks/latest/APIReference/"
_CLUSTER = "aws:eks/cluster:Cluster"
_ADDON = "aws:eks/addon:Addon"
_ENTRY = "aws:eks/accessEntry:AccessEntry"
_ACCESS = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
_POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
MOST_CIDRS = 40


def _vpc(inputs: Inputs) -> Inputs:
    config = inputs.get("vpcConfig")
    return config if isinstance(config, dict) else {}


def _dig(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


@rule(_CLUSTER, source=f"{_API}API_CreateCluster.html")
def cluster_name(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}"
    yield from pattern("name", inputs.get("name"), regex, "1 to 100 letters, digits, - or _")


@rule(_CLUSTER, source=KUBERNETES_SOURCE)
def cluster_version(inputs: Inputs) -> Iterator[Refusal]:
    yield from one_of("version", inputs.get("version"), KUBERNETES)


@rule(_CLUSTER, source="https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html")
def cluster_subnets(inputs: Inputs) -> Iterator[Refusal]:
    subnets = _vpc(inputs).get("subnetIds")
    if isinstance(subnets, list) and len(subnets) < 2:
        yield Refusal("vpcConfig.subnetIds", f"should be two at least, got {len(subnets)}")


@rule(_CLUSTER, source=f"{_API}API_LogSetup.html")
def cluster_logs(inputs: Inputs) -> Iterator[Refusal]:
    kinds = inputs.get("enabledClusterLogTypes")
    for kind in kinds if isinstance(kinds, list) else []:
        yield from one_of("enabledClusterLogTypes", kind, LOG_TYPES)


@rule(_CLUSTER, source=f"{_API}API_CreateAccessConfigRequest.html")
def cluster_authentication(inputs: Inputs) -> Iterator[Refusal]:
    mode = _dig(inputs, "accessConfig", "authenticationMode")
    known = ("API", "API_AND_CONFIG_MAP", "CONFIG_MAP")
    yield from one_of("accessConfig.authenticationMode", mode, known)


@rule(
    _CLUSTER,
    source="https://docs.aws.amazon.com/eks/latest/userguide/automode-get-started-cli.html",
)
def auto_mode_is_whole(inputs: Inputs) -> Iterator[Refusal]:
    parts = {
        "computeConfig.enabled": _dig(inputs, "computeConfig", "enabled"),
        "storageConfig.blockStorage.enabled": _dig(
            inputs, "storageConfig", "blockStorage", "enabled"
        ),
        "kubernetesNetworkConfig.elasticLoadBalancing.enabled": _dig(
            inputs, "kubernetesNetworkConfig", "elasticLoadBalancing", "enabled"
        ),
    }
    given = [inputs.get(path.partition(".")[0]) for path in parts]
    on = {key for key, value in parts.items() if value}
    if not has_unknown(given) and on and on != parts.keys():
        off = ", ".join(sorted(parts.keys() - on))
        yield Refusal("computeConfig", f"Auto Mode is on as a whole or not at all; off is {off}")


@rule(_CLUSTER, source=f"{_API}API_CreateCluster.html")
def auto_mode_brings_its_addons(inputs: Inputs) -> Iterator[Refusal]:
    if _dig(inputs, "computeConfig", "enabled") is True and inputs.get(
        "bootstrapSelfManagedAddons", True
    ):
        yield Refusal("bootstrapSelfManagedAddons", "should be false with Auto Mode")


@rule(_CLUSTER, source="https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html")
def cluster_has_an_endpoint(inputs: Inputs) -> Iterator[Refusal]:
    config = _vpc(inputs)
    if config.get("endpointPublicAccess") is False and config.get("endpointPrivateAccess") in (
        None,
        False,
    ):
        yield Refusal("vpcConfig", "public or private access to the endpoint should be on")


@rule(_CLUSTER, source=f"{_API}API_VpcConfigRequest.html")
def cluster_endpoint_cidrs(inputs: Inputs) -> Iterator[Refusal]:
    cidrs = _vpc(inputs).get("publicAccessCidrs")
    for cidr in cidrs if isinstance(cidrs, list) else []:
        yield from network("vpcConfig.publicAccessCidrs", cidr)


@rule(_CLUSTER, source="https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html")
def cluster_endpoint_cidrs_are_few(inputs: Inputs) -> Iterator[Refusal]:
    cidrs = _vpc(inputs).get("publicAccessCidrs")
    if isinstance(cidrs, list) and len(cidrs) > MOST_CIDRS:
        yield Refusal(
            "vpcConfig.publicAccessCidrs", f"should be {MOST_CIDRS} at most, got {len(cidrs)}"
        )


@rule(_CLUSTER, source=f"{_API}API_EncryptionConfig.html")
def cluster_encrypts_secrets(inputs: Inputs) -> Iterator[Refusal]:
    resources = _dig(inputs, "encryptionConfig", "resources")
    if isinstance(resources, list) and not has_unknown(resources) and resources != ["secrets"]:
        yield Refusal("encryptionConfig.resources", f"should be ['secrets'], got {resources!r}")


@rule(_ADDON, source=f"{_API}API_AddonInfo.html")
def addon_name(inputs: Inputs) -> Iterator[Refusal]:
    # AWS documents no grammar; this one is that of the names which DescribeAddonVersions lists.
    regex = r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?"
    yield from pattern("addonName", inputs.get("addonName"), regex, "such as metrics-server")


@rule(_ADDON, source="https://www.pulumi.com/registry/packages/aws/api-docs/eks/addon/")
def addon_conflicts(inputs: Inputs) -> Iterator[Refusal]:
    # AWS's API takes PRESERVE when it creates, too; the provider does not.
    create, update = "resolveConflictsOnCreate", "resolveConflictsOnUpdate"
    yield from one_of(create, inputs.get(create), ("NONE", "OVERWRITE"))
    yield from one_of(update, inputs.get(update), ("NONE", "OVERWRITE", "PRESERVE"))


@rule(_ADDON, source=f"{_API}API_CreateAddon.html")
def addon_configuration(inputs: Inputs) -> Iterator[Refusal]:
    yield from document("configurationValues", inputs.get("configurationValues"))[1]


@rule(_ENTRY, _ACCESS, source=f"{_API}API_CreateAccessEntry.html")
def principal(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"arn:aws[a-z-]*:iam::\d{12}:(user|role)/.+"
    arn = inputs.get("principalArn")
    yield from pattern("principalArn", arn, regex, "the ARN of an IAM user or role")


@rule(_ENTRY, source=f"{_API}API_CreateAccessEntry.html")
def entry_type(inputs: Inputs) -> Iterator[Refusal]:
    kinds = (
        "STANDARD",
        "EC2",
        "EC2_LINUX",
        "EC2_WINDOWS",
        "FARGATE_LINUX",
        "HYBRID_LINUX",
        "HYPERPOD_LINUX",
    )
    yield from one_of("type", inputs.get("type"), kinds)


@rule(_ACCESS, source=f"{_API}API_AssociateAccessPolicy.html")
def access_policy(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"arn:aws[a-z-]*:eks::aws:cluster-access-policy/\w+"
    arn = inputs.get("policyArn")
    yield from pattern("policyArn", arn, regex, "the ARN of an EKS access policy")


@rule(_ACCESS, source=f"{_API}API_AccessScope.html")
def access_scope(inputs: Inputs) -> Iterator[Refusal]:
    kind = _dig(inputs, "accessScope", "type")
    yield from one_of("accessScope.type", kind, ("cluster", "namespace"))


@rule(_ACCESS, source=f"{_API}API_AccessScope.html")
def access_scope_names_its_namespaces(inputs: Inputs) -> Iterator[Refusal]:
    scope = inputs.get("accessScope")
    namespaces = _dig(scope, "namespaces")
    if _dig(scope, "type") == "namespace" and not namespaces:
        yield Refusal("accessScope.namespaces", "are required for the scope namespace")
    if _dig(scope, "type") == "cluster" and namespaces and namespaces is not UNKNOWN:
        yield Refusal("accessScope.namespaces", "are only for the scope namespace")


@rule(
    _POD_IDENTITY, source="https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"
)
def pod_identity_names(inputs: Inputs) -> Iterator[Refusal]:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    subdomain = rf"(?=.{{1,253}}$){label}(\.{label})*"
    what = "a name of Kubernetes: lower case, digits and -"
    yield from pattern("namespace", inputs.get("namespace"), label, what)
    yield from pattern("serviceAccount", inputs.get("serviceAccount"), subdomain, f"{what} and .")


@rule(_POD_IDENTITY, source=f"{_API}API_CreatePodIdentityAssociation.html")
def pod_identity_role(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"arn:aws[a-z-]*:iam::\d{12}:role/.+"
    yield from pattern("roleArn", inputs.get("roleArn"), regex, "the ARN of an IAM role")
