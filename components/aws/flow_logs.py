"""Flow log of a VPC: the connections that security groups refused."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.policy import policy_document
from settings.limits import cloudwatch_retention


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    vpc_id: pulumi.Input[str]
    retention_days: int


class FlowLogs(pulumi.ComponentResource):
    """Log group that only the flow logs of this account write to.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """

    def __init__(
        self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:FlowLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        group = aws.cloudwatch.LogGroup(
            f"{name}-group",
            retention_in_days=cloudwatch_retention(args.retention_days),
            opts=child,
        )
        role = aws.iam.Role(f"{name}-role", assume_role_policy=group.arn.apply(_trust), opts=child)
        policy = aws.iam.RolePolicy(
            f"{name}-role", role=role.name, policy=group.arn.apply(_write), opts=child
        )
        aws.ec2.FlowLog(
            f"{name}-rejected",
            vpc_id=args.vpc_id,
            # What AWS's Security Hub asks for, at a fraction of the cost of all connections:
            # https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html#ec2-6
            traffic_type="REJECT",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags={"Name": f"{name}-rejected"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({})


def _trust(group_arn: str) -> str:
    """Trust in the flow logs of the account and Region of the log group."""
    _, partition, _, region, account, *_ = group_arn.split(":")
    flow_logs = f"arn:{partition}:ec2:{region}:{account}:vpc-flow-log/*"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": flow_logs},
        },
    }
    return policy_document([statement])


def _write(group_arn: str) -> str:
    """Without logs:CreateLogGroup: a late writer must not create the deleted group again."""
    groups = f"{group_arn.partition(':log-group:')[0]}:log-group:*"
    write = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    statements = [
        {"Effect": "Allow", "Action": write, "Resource": [group_arn, f"{group_arn}:*"]},
        {"Effect": "Allow", "Action": ["logs:DescribeLogGroups"], "Resource": groups},
    ]
    return policy_document(statements)
