"""What differs between the partitions of AWS: `aws`, `aws-us-gov`, `aws-cn`."""

import pulumi
import pulumi_aws as aws


def access_policy(parent: pulumi.Resource, name: str) -> str:
    """ARN of an access policy of EKS."""
    return f"arn:{_partition(parent).partition}:eks::aws:cluster-access-policy/{name}"


def managed_policy(parent: pulumi.Resource, name: str) -> str:
    """ARN of a managed policy of IAM."""
    return f"arn:{_partition(parent).partition}:iam::aws:policy/{name}"


def ec2_principal(parent: pulumi.Resource) -> str:
    """Service principal of EC2. Those of most other services are the same everywhere.

    https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
    """
    return f"ec2.{_partition(parent).dns_suffix}"


def _partition(parent: pulumi.Resource) -> aws.GetPartitionResult:
    return aws.get_partition(opts=pulumi.InvokeOptions(parent=parent))
