from policies.view import UNKNOWN
from tests.unit.policies.resources import iam_policy, resource

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
S3_ON_ALL = iam_policy(action="s3:*", target="*")
LIST = iam_policy(action=["s3:Get", "s3:*"], target=["*"])
NOT_ACTION = iam_policy(action=[], target="*", NotAction="iam:*")
ADMIN = {
    "AdministratorAccess": ATTACHMENT,
    "PowerUserAccess": "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "IAMFullAccess": "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
}
AWS_POLICY = "arn:aws:iam::aws:policy"


def role_policy(policy):
    return resource(ROLE_POLICY, policy=policy)


def role(effect="Allow", **statement):
    return resource(ROLE, assumeRolePolicy=iam_policy(effect, **statement))


BREACHES = {
    "iam-least-privilege": {
        "List specific actions or specific resources": [
            (f"policy allows {actions} on all resources", broad)
            for actions, broad in (
                ("*", role_policy(iam_policy(action="*", target="*"))),
                ("s3:*", role_policy(LIST)),
                ("s3:*", resource("aws:iam/policy:Policy", policy=S3_ON_ALL)),
                ("s3:*", resource("aws:iam/userPolicy:UserPolicy", policy=S3_ON_ALL)),
                ("s3:*", resource("aws:iam/groupPolicy:GroupPolicy", policy=S3_ON_ALL)),
                ("s3:*", resource(ROLE, inlinePolicies=[{"policy": S3_ON_ALL}])),
                ("all actions except iam:*", role_policy(NOT_ACTION)),
            )
        ],
    },
    "iam-no-admin": {
        "Attach a policy with only the required permissions": [
            (
                f'policyArn is "{AWS_POLICY}/{name}"',
                resource(type, policyArn=f"{AWS_POLICY}/{name}"),
            )
            for name, type in ADMIN.items()
        ],
    },
    "iam-trust-no-wildcard": {
        "Set the principal to a service or an account": [
            (f"assumeRolePolicy trusts {principal!r}", role(Principal=principal))
            for principal in ("*", {"AWS": "*"}, {"AWS": ["111122223333", "*"]})
        ],
    },
}

COMPLIANT = {
    "iam-least-privilege": {
        "specific resource": role_policy(iam_policy(action="s3:*")),
        "specific action": role_policy(iam_policy(target="*")),
        "deny": role_policy(iam_policy("Deny", "*", "*")),
        "unknown": role_policy(UNKNOWN),
    },
    "iam-no-admin": {
        "other policy of AWS": resource(
            ATTACHMENT, policyArn=f"{AWS_POLICY}/AmazonEKSClusterPolicy"
        )
    },
    "iam-trust-no-wildcard": {
        "service": role(Principal={"Service": "eks.amazonaws.com"}),
        "condition": role(Principal="*", Condition={"a": {}}),
        "deny": role("Deny", Principal="*"),
    },
}
