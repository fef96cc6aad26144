"""IAM and KMS."""

import re
from collections.abc import Iterator
from typing import Any

from tests.engine.simulator.rules.rule import Inputs, between, document, pattern, rule
from tests.engine.simulator.schema import Refusal

_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_API = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
_ROLE = "aws:iam/role:Role"
_POLICY = "aws:iam/rolePolicy:RolePolicy"
_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_KEY = "aws:kms/key:Key"
_BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONS = ("2008-10-17", "2012-10-17")
ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
ACTION = r"\*|[a-zA-Z0-9*-]+:[a-zA-Z0-9*?]+"
TRUST_CHARACTERS = 2048
INLINE_CHARACTERS = 10240
PRINCIPALS = {"Principal", "NotPrincipal"}
RESOURCES = {"Resource", "NotResource"}


def _property(inputs: Inputs) -> str:
    return "assumeRolePolicy" if "assumeRolePolicy" in inputs else "policy"


def _statements(inputs: Inputs) -> list[Inputs]:
    parsed, _ = document("", inputs.get(_property(inputs)))
    found = parsed.get("Statement") if isinstance(parsed, dict) else None
    listed = found if isinstance(found, list) else [found]
    return [statement for statement in listed if isinstance(statement, dict)]


def _words(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _size(text: str) -> int:
    """White space does not count: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    return len("".join(text.split()))


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_grammar.html")
def policy_is_json(inputs: Inputs) -> Iterator[Refusal]:
    name = _property(inputs)
    parsed, refused = document(name, inputs.get(name))
    yield from refused
    found = parsed.get("Statement") if isinstance(parsed, dict) else None
    listed = found if isinstance(found, list) else [found]
    # The text "null" is JSON too.
    given = isinstance(inputs.get(name), str) and not refused
    if given and not (listed and all(isinstance(one, dict) and one for one in listed)):
        yield Refusal(name, "should be an object with a Statement, itself an object or some")


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_version.html")
def policy_version(inputs: Inputs) -> Iterator[Refusal]:
    parsed, _ = document("", inputs.get(_property(inputs)))
    version = parsed.get("Version") if isinstance(parsed, dict) else None
    if version is not None and version not in VERSIONS:
        yield Refusal(
            _property(inputs), f"Version should be {' or '.join(VERSIONS)}, got {version!r}"
        )


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_effect.html")
def policy_effect(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        effect = statement.get("Effect")
        if effect not in ("Allow", "Deny"):
            yield Refusal(_property(inputs), f"Effect should be Allow or Deny, got {effect!r}")


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements.html")
def policy_elements(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        strange = ", ".join(sorted(statement.keys() - ELEMENTS))
        if strange:
            yield Refusal(_property(inputs), f"a statement has no element {strange}")


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_action.html")
def policy_action(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        if ("Action" in statement) == ("NotAction" in statement):
            yield Refusal(_property(inputs), "a statement should have Action or NotAction")


@rule(_ROLE, _POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_action.html")
def policy_action_form(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        name = "Action" if "Action" in statement else "NotAction"
        actions = statement.get(name, "*")
        for action in actions if isinstance(actions, list) and actions else [actions]:
            if not re.fullmatch(ACTION, str(action), re.ASCII):
                yield Refusal(
                    _property(inputs), f"{name} should be service:operation, got {action!r}"
                )


@rule(_POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_resource.html")
def policy_resource(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        if ("Resource" in statement) == ("NotResource" in statement):
            yield Refusal("policy", "a statement should have Resource or NotResource")


@rule(_POLICY, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_resource.html")
def policy_resource_form(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        for resource in _words(statement.get("Resource")):
            if resource != "*" and not resource.startswith("arn:"):
                yield Refusal("policy", f"Resource should be an ARN or *, got {resource!r}")


@rule(_POLICY, source=f"{_IAM}reference_policies_elements_principal.html")
def role_policy_names_no_principal(inputs: Inputs) -> Iterator[Refusal]:
    if any(PRINCIPALS & statement.keys() for statement in _statements(inputs)):
        yield Refusal("policy", "Principal is not for the policy of a role: the role is it")


@rule(_ROLE, _BUCKET_POLICY, source=f"{_IAM}reference_policies_elements_principal.html")
def policy_of_a_resource_names_its_principal(inputs: Inputs) -> Iterator[Refusal]:
    for statement in _statements(inputs):
        if not PRINCIPALS & statement.keys():
            yield Refusal(_property(inputs), "a statement should name its Principal")


@rule(_ROLE, source=f"{_IAM}reference_policies_elements_resource.html")
def trust_names_no_resource(inputs: Inputs) -> Iterator[Refusal]:
    if any(RESOURCES & statement.keys() for statement in _statements(inputs)):
        yield Refusal("assumeRolePolicy", "Resource is not for a trust policy: the role is it")


@rule(_ROLE, source=f"{_IAM}reference_iam-quotas.html")
def trust_size(inputs: Inputs) -> Iterator[Refusal]:
    text = inputs.get("assumeRolePolicy")
    if isinstance(text, str) and _size(text) > TRUST_CHARACTERS:
        yield Refusal(
            "assumeRolePolicy",
            f"should have {TRUST_CHARACTERS} characters at most, got {_size(text)}",
        )


@rule(_POLICY, source=f"{_IAM}reference_iam-quotas.html")
def inline_size(inputs: Inputs) -> Iterator[Refusal]:
    text = inputs.get("policy")
    if isinstance(text, str) and _size(text) > INLINE_CHARACTERS:
        yield Refusal(
            "policy", f"should have {INLINE_CHARACTERS} characters at most, got {_size(text)}"
        )


@rule(_ROLE, source=f"{_API}API_CreateRole.html")
def role_name(inputs: Inputs) -> Iterator[Refusal]:
    yield from pattern(
        "name", inputs.get("name"), r"[\w+=,.@-]{1,64}", "1 to 64 of A-Z a-z 0-9 _+=,.@-"
    )


@rule(_ROLE, source=f"{_API}API_CreateRole.html")
def role_session(inputs: Inputs) -> Iterator[Refusal]:
    yield from between("maxSessionDuration", inputs.get("maxSessionDuration"), 3600, 43200, " s")


@rule(_ROLE, source=f"{_API}API_CreateRole.html")
def role_description(inputs: Inputs) -> Iterator[Refusal]:
    text = inputs.get("description")
    if isinstance(text, str) and len(text) > 1000:
        yield Refusal("description", f"should have 1000 characters at most, got {len(text)}")


@rule(_ATTACHMENT, source=f"{_API}API_AttachRolePolicy.html")
def attached_policy(inputs: Inputs) -> Iterator[Refusal]:
    regex = r"arn:aws[a-z-]*:iam::(aws|\d{12}):policy/.+"
    yield from pattern("policyArn", inputs.get("policyArn"), regex, "the ARN of an IAM policy")


@rule(
    _KEY, source="https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html"
)
def key_deletion(inputs: Inputs) -> Iterator[Refusal]:
    yield from between("deletionWindowInDays", inputs.get("deletionWindowInDays"), 7, 30, " days")


@rule(_KEY, source="https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html")
def key_description(inputs: Inputs) -> Iterator[Refusal]:
    text = inputs.get("description")
    if isinstance(text, str) and len(text) > 8192:
        yield Refusal("description", f"should have 8192 characters at most, got {len(text)}")
