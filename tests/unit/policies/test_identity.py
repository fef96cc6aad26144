import pytest

from policies.view import UNKNOWN
from tests.unit.policies.resources import (
    CONFIG_MAP,
    KMS_KEY,
    TAGS,
    assert_complies,
    breaches,
    findings,
    iam_policy,
    resource,
)

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
S3_ON_ALL = iam_policy(action="s3:*", target="*")


@pytest.mark.parametrize(
    ("broad", "actions"),
    [
        (resource(ROLE_POLICY, policy=iam_policy(action="*", target="*")), "*"),
        (resource(ROLE_POLICY, policy=iam_policy(action=["s3:Get", "s3:*"], target=["*"])), "s3:*"),
        (resource("aws:iam/policy:Policy", policy=S3_ON_ALL), "s3:*"),
        (resource("aws:iam/userPolicy:UserPolicy", policy=S3_ON_ALL), "s3:*"),
        (resource("aws:iam/groupPolicy:GroupPolicy", policy=S3_ON_ALL), "s3:*"),
        (resource(ROLE, inlinePolicies=[{"policy": S3_ON_ALL}]), "s3:*"),
        (
            resource(ROLE_POLICY, policy=iam_policy(action=[], target="*", NotAction="iam:*")),
            "all actions except iam:*",
        ),
    ],
)
def test_wildcard_actions_on_all_resources_are_a_breach(broad, actions):
    assert breaches("iam-least-privilege", broad) == [
        (
            "it",
            f"policy allows {actions} on all resources",
            "List specific actions or specific resources",
        )
    ]


@pytest.mark.parametrize(
    "policy",
    [iam_policy(action="s3:*"), iam_policy(target="*"), iam_policy("Deny", "*", "*"), UNKNOWN],
    ids=["specific resource", "specific action", "deny", "unknown"],
)
def test_specific_permissions_comply(policy):
    assert_complies("iam-least-privilege", resource(ROLE_POLICY, policy=policy))


@pytest.mark.parametrize(
    ("type", "policy"),
    [
        (ATTACHMENT, "AdministratorAccess"),
        ("aws:iam/userPolicyAttachment:UserPolicyAttachment", "PowerUserAccess"),
        ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", "IAMFullAccess"),
    ],
)
def test_an_admin_policy_of_aws_is_a_breach(type, policy):
    arn = f"arn:aws:iam::aws:policy/{policy}"
    assert breaches("iam-no-admin", resource(type, policyArn=arn)) == [
        ("it", f'policyArn is "{arn}"', "Attach a policy with only the required permissions")
    ]


def test_other_policies_of_aws_comply():
    arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    assert_complies("iam-no-admin", resource(ATTACHMENT, policyArn=arn))


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["111122223333", "*"]}])
def test_a_role_that_any_account_can_assume_is_a_breach(principal):
    role = resource(ROLE, assumeRolePolicy=iam_policy(Principal=principal))
    assert breaches("iam-trust-no-wildcard", role) == [
        (
            "it",
            f"assumeRolePolicy trusts {principal!r}",
            "Set the principal to a service or an account",
        )
    ]


@pytest.mark.parametrize(
    "trust",
    [
        iam_policy(Principal={"Service": "eks.amazonaws.com"}),
        iam_policy(Principal="*", Condition={"a": {}}),
        iam_policy("Deny", Principal="*"),
    ],
    ids=["service", "condition", "deny"],
)
def test_a_role_with_restricted_trust_complies(trust):
    assert_complies("iam-trust-no-wildcard", resource(ROLE, assumeRolePolicy=trust))


@pytest.mark.parametrize(
    ("tag", "fix"), [("project", "Set it"), ("stack", "Set it to mine"), ("managed-by", "Set it")]
)
def test_a_missing_default_tag_is_a_breach(tag, fix):
    tags = {key: value for key, value in TAGS.items() if key != tag}
    (breach,) = findings("default-tags-required", resource(KMS_KEY), tags=tags)

    assert breach.resource == "Pulumi.mine.yaml"
    assert breach.what == f"aws:defaultTags.tags.{tag} is not set"
    assert breach.fix == fix


def test_the_stack_tag_of_another_stack_is_a_breach():
    tags = {**TAGS, "stack": "prod"}
    (breach,) = findings("default-tags-required", resource(KMS_KEY), tags=tags)

    assert (breach.what, breach.fix) == ('aws:defaultTags.tags.stack is "prod"', "Set it to mine")


def test_all_default_tags_comply():
    assert_complies("default-tags-required", resource(KMS_KEY))


def test_a_stack_without_aws_needs_no_default_tags():
    assert_complies("default-tags-required", resource(CONFIG_MAP), tags={})
