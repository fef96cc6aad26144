"""Logs on S3, and the AWS permissions of Airflow's pods: task logs, and the policies of the stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.airflow import xcom_bucket
from components.airflow.values import service_account
from components.aws.log_replica import LogReplica, LogReplicaArgs
from components.aws.policy import policy_document
from components.aws.private_bucket import Expiration, private_bucket, tls_only
from components.support import chart_names
from settings.airflow import ComponentPolicies
from settings.logs import TASK_LOGS, LogSettings
from settings.workers import WorkerSettings

READ = ["s3:GetObject"]
WRITE = ["s3:GetObject", "s3:PutObject"]
# By ServiceAccount of the chart, in addition to the workers': the API server displays task logs.
ACTIONS = {chart_names.TRIGGERER: WRITE, chart_names.API_SERVER: READ}
# Prefixes of objects beside those of task logs.
CALLBACK_LOGS = "executor_callbacks/"
XCOMS = f"{xcom_bucket.FOLDER}/"
# By setting in `airflow.iam_policy_arns`.
ACCOUNTS = {
    "scheduler": chart_names.SCHEDULER,
    "api_server": chart_names.API_SERVER,
    "dag_processor": chart_names.DAG_PROCESSOR,
    "triggerer": chart_names.TRIGGERER,
}


@dataclass(frozen=True, kw_only=True)
class LogsArgs:
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    namespace: pulumi.Input[str]
    # Their workers write logs; `iam_policy_arn` grants them more.
    queues: Mapping[str, WorkerSettings]
    # What the other components may do besides.
    component_policies: ComponentPolicies
    # Folder for the access logs of load balancers in this account, if they write any.
    access_logs: str | None = None
    # Until a large XCom expires, if the bucket has any; 0: never.
    xcom_days: int | None = None
    settings: LogSettings


class Logs(pulumi.ComponentResource):
    """Private, encrypted bucket that expires logs after `retention_days`, and XComs after their runs."""

    bucket: pulumi.Output[str]
    region: pulumi.Output[str]
    # The name of the bucket, once load balancers may write into it.
    access_log_bucket: pulumi.Output[str]

    def __init__(
        self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:aws:Logs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, expirations = args.settings, _expirations(args)

        bucket = private_bucket(
            name,
            parent=self,
            expirations=expirations,
            protect=settings.protect,
            versions=settings.replicate_to is not None,
        )
        self.bucket = bucket.bucket
        self.region = bucket.region
        if settings.replicate_to is not None:
            LogReplica(
                f"{name}-replica",
                LogReplicaArgs(
                    bucket=bucket.bucket,
                    bucket_arn=bucket.arn,
                    region=settings.replicate_to,
                    expirations=expirations,
                    protect=settings.protect,
                ),
                opts=child,
            )
        statements = [bucket.arn.apply(tls_only)]
        if args.access_logs is not None:
            account = aws.get_caller_identity_output(
                opts=pulumi.InvokeOutputOptions(parent=self)
            ).account_id
            folder = pulumi.Output.concat(bucket.arn, "/", args.access_logs)
            statements.append(pulumi.Output.all(folder, account).apply(_load_balancers_write))
        policy = aws.s3.BucketPolicy(
            f"{name}-tls-only",
            bucket=self.bucket,
            policy=pulumi.Output.all(*statements).apply(policy_document),
            opts=child,
        )
        self.access_log_bucket = policy.bucket
        workers = {service_account(name): queue for name, queue in args.queues.items()}
        actions = {**dict.fromkeys(workers, WRITE), **ACTIONS}
        policies = {
            **{account: queue.iam_policy_arn for account, queue in workers.items()},
            **{ACCOUNTS[part]: arn for part, arn in args.component_policies.set().items()},
        }
        # A ServiceAccount has one role, with both kinds of permissions.
        for account in {**actions, **policies}:
            role = aws.iam.Role(
                f"{name}-{account}",
                assume_role_policy=pulumi.Output.all(
                    cluster=args.cluster_arn, namespace=args.namespace, account=account
                ).apply(_pod_identity_trust),
                opts=child,
            )
            if account in actions:
                aws.iam.RolePolicy(
                    f"{name}-{account}",
                    role=role.name,
                    policy=bucket.arn.apply(
                        lambda arn, of=account: _allow(
                            arn,
                            actions[of],
                            deletes_xcoms=of in workers and args.xcom_days is not None,
                        )
                    ),
                    opts=child,
                )
            aws.eks.PodIdentityAssociation(
                f"{name}-{account}",
                cluster_name=args.cluster_name,
                namespace=args.namespace,
                service_account=account,
                role_arn=role.arn,
                opts=child,
            )
            if (policy_arn := policies.get(account)) is not None:
                aws.iam.RolePolicyAttachment(
                    f"{name}-{account}-tasks",
                    role=role.name,
                    policy_arn=policy_arn,
                    opts=child,
                )
        self.register_outputs({"bucket": self.bucket})


def _pod_identity_trust(of: Mapping[str, str]) -> str:
    """Only pods of one ServiceAccount of this cluster, whose ARN names the account.

    EKS sends these tags with every AssumeRole. AWS documents no `aws:SourceArn` for Pod Identity:
    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                "aws:RequestTag/eks-cluster-arn": of["cluster"],
                "aws:RequestTag/kubernetes-namespace": of["namespace"],
                "aws:RequestTag/kubernetes-service-account": of["account"],
            }
        },
    }
    return policy_document([statement])


def _expirations(args: LogsArgs) -> list[Expiration]:
    """Rules of the bucket. Where rules overlap, the shortest expiration applies.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
    """
    days = args.settings.retention_days
    if args.xcom_days is None:
        return [Expiration(name="retention", prefix="", days=days)]
    rules = [
        Expiration(name="task-logs", prefix=TASK_LOGS, days=days),
        Expiration(name="callback-logs", prefix=CALLBACK_LOGS, days=days),
        Expiration(name="xcoms", prefix=XCOMS, days=args.xcom_days),
    ]
    if args.access_logs is not None:
        rules.append(Expiration(name="access-logs", prefix=f"{args.access_logs}/", days=days))
    return rules


def _allow(bucket_arn: str, actions: list[str], *, deletes_xcoms: bool) -> str:
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": f"{bucket_arn}/*"},
        # Of the whole bucket: s3fs creates a bucket that HeadBucket does not find.
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket_arn},
    ]
    if deletes_xcoms:
        only_xcoms = f"{bucket_arn}/{XCOMS}*"
        statements.append(
            {"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": only_xcoms}
        )
    return policy_document(statements)


def _load_balancers_write(where: Sequence[str]) -> dict[str, Any]:
    """Access logs of load balancers in this account only: the path contains the account.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    folder, account = where
    return {
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"{folder}/AWSLogs/{account}/*",
    }
