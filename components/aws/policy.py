"""The text of an IAM policy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def policy_document(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
