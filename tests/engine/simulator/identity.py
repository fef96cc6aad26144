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
CALLER = f"arn:aws:iam::{ACCOUNT}:role{PATH}{ROLE}"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/deployer@example.com"


def install(patches: ExitStack) -> None:
    """Make the simulated credentials those of the session."""
    original = STSBackend.get_caller_identity

    def identity(backend: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
        if access_key_id == ACCESS_KEY:
            return "AROASIMULATED:deployer@example.com", SESSION, ACCOUNT
        return original(backend, access_key_id, region)

    patches.enter_context(patch.object(STSBackend, "get_caller_identity", identity))


def create(iam: Any) -> None:
    """The role of the caller, which exists in the account before the stack."""
    principal = {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/sso"}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRoleWithSAML", "Principal": principal}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_role(RoleName=ROLE, Path=PATH, AssumeRolePolicyDocument=trust)


def issuer(iam: Any, arn: str) -> str:
    """The ARN of the role of a session, with its path; any other ARN as it is."""
    _, _, resource = arn.partition(":assumed-role/")
    if not resource:
        return arn
    return iam.get_role(RoleName=resource.partition("/")[0])["Role"]["Arn"]
