"""Rules for rights in AWS, and for the tags that say whose a resource is."""

from collections.abc import Iterator
from typing import Any

from policies.rule import Finding, Rule
from policies.storage import statements
from policies.view import Resource, Stack, is_, items

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
ALMIGHTY = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
TAGS = ("project", "stack", "managed-by")


def _policies(stack: Stack) -> Iterator[tuple[Resource, Any]]:
    for resource in stack.all(*POLICIES):
        yield resource, resource.inputs.get("policy")
    for role in stack.all(ROLE):
        for inline in items(role.inputs.get("inlinePolicies")):
            yield role, inline.get("policy")


def _rights_are_narrow(stack: Stack) -> Iterator[Finding]:
    for resource, policy in _policies(stack):
        for statement in statements(policy):
            if statement.get("Effect") != "Allow" or "*" not in items(statement.get("Resource")):
                continue
            broad = [action for action in items(statement.get("Action")) if action.endswith("*")]
            broad += [f"everything but {action}" for action in items(statement.get("NotAction"))]
            if broad:
                yield Finding(
                    resource=resource.name,
                    urn=resource.urn,
                    what=f"policy allows {', '.join(broad)} on every resource",
                    fix="Name the actions, or name the resources",
                )


def _nobody_is_almighty(stack: Stack) -> Iterator[Finding]:
    for attachment in stack.all(*ATTACHMENTS):
        value = str(attachment.inputs.get("policyArn"))
        if value.rpartition("/")[2] in ALMIGHTY:
            yield Finding(
                resource=attachment.name,
                urn=attachment.urn,
                what=is_("policyArn", value),
                fix="Write a policy with the rights that are used",
            )


def _trust_is_named(stack: Stack) -> Iterator[Finding]:
    for role in stack.all(ROLE):
        for statement in statements(role.inputs.get("assumeRolePolicy")):
            trusted = statement.get("Principal")
            everybody = trusted == "*" or (isinstance(trusted, dict) and "*" in _flat(trusted))
            if statement.get("Effect") == "Allow" and everybody and not statement.get("Condition"):
                yield Finding(
                    resource=role.name,
                    urn=role.urn,
                    what=f"assumeRolePolicy trusts {trusted!r}",
                    fix="Name the service or the account",
                )


def _flat(trusted: dict[str, Any]) -> list[Any]:
    return [who for listed in trusted.values() for who in items(listed)]


def _everything_is_tagged(stack: Stack) -> Iterator[Finding]:
    if not any(resource.type.startswith("aws:") for resource in stack.resources):
        return
    wanted = {"stack": stack.name}
    for tag in TAGS:
        value = stack.default_tags.get(tag)
        if not value or value != wanted.get(tag, value):
            yield Finding(
                resource=f"Pulumi.{stack.name}.yaml",
                what=is_(f"aws:defaultTags.tags.{tag}", value),
                fix=f"Set it to {wanted[tag]}" if tag in wanted else "Set it",
            )


RULES = (
    Rule(
        name="rights-are-narrow",
        reason="Every task of every DAG could use these rights",
        check=_rights_are_narrow,
        excusable=True,
    ),
    Rule(
        name="nobody-is-almighty",
        reason="A pod with these rights is the whole account",
        check=_nobody_is_almighty,
    ),
    Rule(
        name="trust-is-named",
        reason="Any AWS account could take the role",
        check=_trust_is_named,
    ),
    Rule(
        name="everything-is-tagged",
        reason="Costs and clean-up go by tags",
        check=_everything_is_tagged,
    ),
)
