"""ARNs in a stack file: their form, and the partition and Region that they have to be in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
# Region prefixes of the partitions besides `aws`:
# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
_PARTITION = rf"(aws|{'|'.join(PARTITIONS.values())})"


def pattern(service: str, resource: str, *, region: str = "", account: str = r"\d{12}") -> str:
    """Regular expression of the ARNs of a resource, in any supported partition."""
    return rf"^arn:{_PARTITION}:{service}:{region}:{account}:{resource}$"


REGION = "[a-z0-9-]+"
PRINCIPAL = pattern("iam", "(role|user)/.+")
PrincipalArn = Annotated[str, Field(title="ARN of an IAM role or user", pattern=PRINCIPAL)]
PolicyArn = Annotated[
    str,
    Field(
        title="ARN of an IAM policy",
        pattern=pattern("iam", "policy/.+", account=r"(\d{12}|aws)"),
    ),
]
CertificateArn = Annotated[
    str,
    Field(
        title="ARN of an ACM certificate", pattern=pattern("acm", "certificate/.+", region=REGION)
    ),
]


def partition(region: str) -> str:
    """Partition of a Region."""
    found = (name for prefix, name in PARTITIONS.items() if region.startswith(prefix))
    return next(found, "aws")


def misplaced(sections: Mapping[str, Any], region: str) -> Iterator[tuple[str, str]]:
    """ARNs that a stack in `region` cannot use: (full key, what is wrong and what to do)."""
    found = (row for name, section in sections.items() for row in _arns(section, name))
    for key, arn in found:
        _, of_arn, service, arn_region, *_ = arn.split(":")
        if of_arn != partition(region):
            yield (
                key,
                f"is in the partition {of_arn}, but {region} (aws:region) is in {partition(region)}: use an "
                f"ARN that starts with arn:{partition(region)}:, got {arn!r}",
            )
        elif arn_region not in ("", region):
            yield (
                key,
                f"is in {arn_region}, but the stack is in {region} (aws:region), and AWS uses only "
                f"{service} resources of its own Region; create it there, got {arn!r}",
            )


def _arns(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(key, ARN) of each setting with an ARN. The text of a free map, such as `config`, is none."""
    if isinstance(value, str):
        if value.startswith("arn:"):
            yield path, value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            yield from _arns(inner, f"{path}.{name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, BaseModel):
                yield from _arns(inner, f"{path}.{key}")
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from _arns(inner, f"{path}.{number}")
