"""The caller of the account: a session of a role of IAM Identity Center.

The role has a path, which the ARN of its session lacks:
https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
"""

import json
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.sts.models import STSBackend

ACCOUNT = "123456789012"  # the account of moto
ACCESS_KEY = "ASIASIMULATED0000000"  # moto reads keys of this form
ROLE = "AWSReservedSSO_Deployer_0123456789abcdef"
PATH = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
# Another person, with a permission set of their own.
COLLEAGUE_ROLE = "AWSReservedSSO_Operator_0123456789abcdef"
ROLES = (ROLE, COLLEAGUE_ROLE)
CALLER = f"arn:aws:iam::{ACCOUNT}:role{PATH}{ROLE}"
COLLEAGUE = f"arn:aws:iam::{ACCOUNT}:role{PATH}{COLLEAGUE_ROLE}"


class _Session:
    """The role of the simulated credentials."""

    role = ROLE


def log_in(role: str) -> None:
    """Make the simulated credentials those of another person."""
    _Session.role = role


def caller() -> str:
    """The ARN of the role, with its path."""
    return f"arn:aws:iam::{ACCOUNT}:role{PATH}{_Session.role}"


def install(patches: ExitStack) -> None:
    """Make the simulated credentials those of the session."""
    original = STSBackend.get_caller_identity

    def identity(backend: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
        if access_key_id == ACCESS_KEY:
            session = f"assumed-role/{_Session.role}/person@example.com"
            return "AROASIMULATED:person@example.com", f"arn:aws:sts::{ACCOUNT}:{session}", ACCOUNT
        return original(backend, access_key_id, region)

    patches.enter_context(patch.object(STSBackend, "get_caller_identity", identity))


def create(iam: Any) -> None:
    """The roles of persons, which exist in the account before the stack."""
    principal = {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/sso"}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRoleWithSAML", "Principal": principal}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for role in ROLES:
        iam.create_role(RoleName=role, Path=PATH, AssumeRolePolicyDocument=trust)


def issuer(iam: Any, arn: str) -> str:
    """The ARN of the role of a session, with its path; any other ARN as it is."""
    _, _, resource = arn.partition(":assumed-role/")
    if not resource:
        return arn
    return iam.get_role(RoleName=resource.partition("/")[0])["Role"]["Arn"]
