"""Rules for IAM permissions and cost allocation tags."""

from collections.abc import Iterator
from typing import Any

from policies.rule import Finding, Rule
from policies.storage import statements
from policies.view import UNKNOWN, Resource, Stack, as_list, describe

ROLE = "aws:iam/role:Role"
POLICIES = (
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/policy:Policy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
ATTACHMENTS = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_job-functions.html
ADMIN_POLICIES = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
TAGS = ("project", "stack", "managed-by")
NODE_CLASS = "kubernetes:eks.amazonaws.com/v1:NodeClass"
INGRESS_CLASS_PARAMS = "kubernetes:eks.amazonaws.com/v1:IngressClassParams"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"


def _policies(stack: Stack) -> Iterator[tuple[Resource, Any]]:
    for resource in stack.all(*POLICIES):
        yield resource, resource.inputs.get("policy")
    for role in stack.all(ROLE):
        for inline in as_list(role.inputs.get("inlinePolicies")):
            yield role, inline.get("policy")


def _least_privilege(stack: Stack) -> Iterator[Finding]:
    for resource, policy in _policies(stack):
        for statement in statements(policy):
            if statement.get("Effect") != "Allow" or "*" not in as_list(statement.get("Resource")):
                continue
            broad = [action for action in as_list(statement.get("Action")) if action.endswith("*")]
            broad += [
                f"all actions except {action}" for action in as_list(statement.get("NotAction"))
            ]
            if broad:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=f"policy allows {', '.join(broad)} on all resources",
                    fix="List specific actions or specific resources",
                )


def _no_admin(stack: Stack) -> Iterator[Finding]:
    for attachment in stack.all(*ATTACHMENTS):
        value = str(attachment.inputs.get("policyArn"))
        if value.rpartition("/")[2] in ADMIN_POLICIES:
            yield Finding(
                resource=attachment.name,
                urn=attachment.urn,
                what=describe("policyArn", value),
                fix="Attach a policy with only the required permissions",
            )


def _trust_has_no_wildcard(stack: Stack) -> Iterator[Finding]:
    for role in stack.all(ROLE):
        for statement in statements(role.inputs.get("assumeRolePolicy")):
            trusted = statement.get("Principal")
            anyone = trusted == "*" or (isinstance(trusted, dict) and "*" in _flat(trusted))
            if statement.get("Effect") == "Allow" and anyone and not statement.get("Condition"):
                yield Finding(
                    resource=role.name,
                    urn=role.urn,
                    what=f"assumeRolePolicy trusts {trusted!r}",
                    fix="Set the principal to a service or an account",
                )


def _flat(trusted: dict[str, Any]) -> list[Any]:
    return [principal for listed in trusted.values() for principal in as_list(listed)]


def _tags_of_eks(stack: Stack) -> Iterator[tuple[Resource, str, Any]]:
    """Tags of what EKS creates from Kubernetes objects: nodes, load balancers, volumes."""
    for node_class in stack.all(NODE_CLASS):
        yield node_class, "spec.tags", node_class.get("spec.tags") or {}
    for parameters in stack.all(INGRESS_CLASS_PARAMS):
        pairs = as_list(parameters.get("spec.tags"))
        yield parameters, "spec.tags", {pair.get("key"): pair.get("value") for pair in pairs}
    for storage in stack.all(STORAGE_CLASS):
        if "ebs.csi" in str(storage.inputs.get("provisioner")):
            given = storage.inputs.get("parameters") or {}
            texts = [value for key, value in given.items() if key.startswith("tagSpecification_")]
            yield (
                storage,
                "parameters.tagSpecification_*",
                dict(str(text).split("=", maxsplit=1) for text in texts),
            )


def _default_tags(stack: Stack) -> Iterator[Finding]:
    if not any(resource.type.startswith("aws:") for resource in stack.resources):
        return
    for resource, path, tags in _tags_of_eks(stack):
        if tags is UNKNOWN:
            continue
        missing = sorted(key for key, value in stack.default_tags.items() if tags.get(key) != value)
        if missing:
            yield Finding(
                resource=resource.name,
                urn=resource.urn,
                what=f"{path} lack {', '.join(missing)} of aws:defaultTags",
                fix="Pass settings.tags.default_tags() to its component",
            )
    wanted = {"stack": stack.name}
    for tag in TAGS:
        value = stack.default_tags.get(tag)
        if not value or value != wanted.get(tag, value):
            yield Finding(
                resource=f"Pulumi.{stack.name}.yaml",
                what=describe(f"aws:defaultTags.tags.{tag}", value),
                fix=f"Set it to {wanted[tag]}" if tag in wanted else "Set it",
            )


RULES = (
    Rule(
        name="iam-least-privilege",
        former_name="rights-are-narrow",
        reason="Every task of every DAG can use these permissions",
        check=_least_privilege,
        excusable=True,
    ),
    Rule(
        name="iam-no-admin",
        former_name="nobody-is-almighty",
        reason="A compromised pod with this policy controls the account",
        check=_no_admin,
    ),
    Rule(
        name="iam-trust-no-wildcard",
        former_name="trust-is-named",
        reason="Any AWS account can assume the role",
        check=_trust_has_no_wildcard,
    ),
    Rule(
        name="default-tags-required",
        former_name="everything-is-tagged",
        reason="Cost allocation and cleanup depend on these tags",
        check=_default_tags,
    ),
)
