import json

import pytest
import yaml

from components.aws.logs import Logs, LogsArgs
from ops.stack_files import ROOT
from settings.airflow import ComponentPolicies
from settings.logs import LogSettings
from settings.workers import WorkerSettings

BUCKET = "aws:s3/bucket:Bucket"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ARN = "arn:aws:s3:::logs-bucket"
CLUSTER_ARN = "arn:aws:eks:eu-west-1:111122223333:cluster/k8s"


@pytest.fixture
def logs(deploy):
    return lambda queues={}, access_logs=None, policies={}, xcom_days=None, **settings: deploy(
        lambda: Logs(
            "logs",
            LogsArgs(
                cluster_name="k8s",
                cluster_arn=CLUSTER_ARN,
                namespace="airflow",
                queues={"default": WorkerSettings(), **queues},
                access_logs=access_logs,
                component_policies=ComponentPolicies(**policies),
                xcom_days=xcom_days,
                settings=LogSettings(**settings),
            ),
        )
    )


def statements(policy):
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17", "the default version is 2008-10-17"
    return document["Statement"]


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_bucket_survives_destroy(logs, protect):
    bucket = logs(protect=protect).one(BUCKET)

    assert bucket.protect is protect
    assert bucket.inputs["forceDestroy"] is not protect, (
        "S3 refuses to delete a bucket with objects"
    )


def test_the_bucket_requires_tls(logs):
    policy = logs().one("aws:s3/bucketPolicy:BucketPolicy").inputs

    assert policy["bucket"] == "logs-bucket"
    assert statements(policy["policy"]) == [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [ARN, f"{ARN}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_load_balancers_of_the_account_write_in_their_folder(logs):
    snapshot = logs(access_logs="load-balancer")

    policy = snapshot.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"]
    only_tls, granted = statements(policy)
    assert only_tls["Effect"] == "Deny"
    assert granted == {
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"{ARN}/load-balancer/AWSLogs/111122223333/*",
    }


def test_access_logs_expire_with_the_task_logs(logs):
    snapshot = logs(access_logs="load-balancer", retention_days=9)

    (rule,) = snapshot.one(LIFECYCLE).inputs["rules"]
    assert (rule["filter"], rule["expiration"]) == ({"prefix": ""}, {"days": 9})


def expirations(snapshot):
    rules = snapshot.one(LIFECYCLE).inputs["rules"]
    return {r["filter"]["prefix"]: r.get("expiration", {}).get("days") for r in rules}


def test_large_xcoms_outlive_the_task_logs(logs):
    """S3 applies the shortest of the rules that match: no other may match them."""
    snapshot = logs(access_logs="load-balancer", retention_days=9, xcom_days=120)

    found = expirations(snapshot)
    assert [days for prefix, days in found.items() if "xcom/dag/run".startswith(prefix)] == [120]
    for name in ("dag_id=a/run_id=b", "executor_callbacks/a", "load-balancer/AWSLogs/1"):
        assert [days for prefix, days in found.items() if name.startswith(prefix)] == [9]


def test_large_xcoms_stay_without_a_clean_up(logs):
    assert expirations(logs(xcom_days=0))["xcom/"] is None


def test_only_workers_may_delete_only_xcoms(logs):
    snapshot = logs(queues={"etl": WorkerSettings()}, xcom_days=120)

    found = {
        policy.name: [s["Resource"] for s in statements(policy.inputs["policy"]) if deletes(s)]
        for policy in snapshot.all(ROLE_POLICY)
    }
    assert {name: resources for name, resources in found.items() if resources} == {
        "logs-airflow-worker": [f"{ARN}/xcom/*"],
        "logs-airflow-worker-etl": [f"{ARN}/xcom/*"],
    }


def deletes(statement):
    return "s3:DeleteObject" in statement["Action"]


@pytest.mark.parametrize(
    ("account", "actions"),
    [
        ("airflow-worker", ["s3:GetObject", "s3:PutObject"]),
        ("airflow-triggerer", ["s3:GetObject", "s3:PutObject"]),
        ("airflow-api-server", ["s3:GetObject"]),
    ],
)
def test_each_role_is_limited_to_its_actions_on_the_bucket(logs, account, actions):
    snapshot = logs()

    policy = snapshot.one(ROLE_POLICY, f"logs-{account}").inputs
    assert statements(policy["policy"]) == [
        {"Effect": "Allow", "Action": actions, "Resource": f"{ARN}/*"},
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ARN},
    ]
    assert snapshot.one(ASSOCIATION, f"logs-{account}").inputs == {
        "clusterName": "k8s",
        "namespace": "airflow",
        "serviceAccount": account,
        "roleArn": f"arn:aws:iam::111122223333:role/{policy['role']}",
    }


def test_only_pods_of_its_service_account_may_assume_a_role(logs):
    roles = logs().all("aws:iam/role:Role")

    assert len(roles) == 3
    for role in roles:
        assert statements(role.inputs["assumeRolePolicy"]) == [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:RequestTag/eks-cluster-arn": CLUSTER_ARN,
                        "aws:RequestTag/kubernetes-namespace": "airflow",
                        "aws:RequestTag/kubernetes-service-account": role.name.removeprefix(
                            "logs-"
                        ),
                    }
                },
            }
        ]


def test_roles_are_bound_to_service_accounts_of_the_chart(logs):
    values = yaml.safe_load((ROOT / "values" / "airflow.yaml").read_text())
    prefix = values["fullnameOverride"]

    accounts = {a.inputs["serviceAccount"] for a in logs().all(ASSOCIATION)}
    assert values["useStandardNaming"] is True
    assert accounts == {f"{prefix}-{part}" for part in ("worker", "triggerer", "api-server")}


def test_each_queue_has_a_role_with_its_own_policy(logs):
    snapshot = logs({"etl": WorkerSettings(), "ml": WorkerSettings()})

    accounts = {a.inputs["serviceAccount"] for a in snapshot.all(ASSOCIATION)}
    assert accounts == {
        *("airflow-worker", "airflow-worker-etl", "airflow-worker-ml"),
        *("airflow-triggerer", "airflow-api-server"),
    }
    for queue in ("etl", "ml"):
        rights = snapshot.one(ROLE_POLICY, f"logs-airflow-worker-{queue}").inputs["policy"]
        assert statements(rights)[0]["Action"] == ["s3:GetObject", "s3:PutObject"]


@pytest.mark.parametrize(
    ("component", "account", "writes_or_reads_logs"),
    [
        ("scheduler", "airflow-scheduler", False),
        ("dag_processor", "airflow-dag-processor", False),
        ("api_server", "airflow-api-server", True),
        ("triggerer", "airflow-triggerer", True),
    ],
)
def test_a_component_gets_its_own_policy(logs, component, account, writes_or_reads_logs):
    arn = "arn:aws:iam::111122223333:policy/secrets"

    snapshot = logs(policies={component: arn})

    (granted,) = snapshot.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    role = snapshot.one("aws:iam/role:Role", f"logs-{account}")
    assert granted.inputs == {"policyArn": arn, "role": role.name}
    association = snapshot.one(ASSOCIATION, f"logs-{account}").inputs
    assert association["roleArn"].endswith(f"role/{role.name}")
    on_the_bucket = [p for p in snapshot.all(ROLE_POLICY) if p.inputs["role"] == role.name]
    assert len(on_the_bucket) == writes_or_reads_logs


BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONS = "aws:s3/bucketVersioning:BucketVersioning"
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
REPLICA = "arn:aws:s3:::logs-replica-bucket"


@pytest.fixture
def replicated(logs):
    return lambda **settings: logs(replicate_to="eu-central-1", **settings)


@pytest.mark.parametrize("protect", [True, False])
def test_the_replica_is_as_private_as_the_log_bucket(replicated, protect):
    snapshot = replicated(protect=protect, retention_days=9)

    own, copy = (snapshot.one(BUCKET, name) for name in ("logs-bucket", "logs-replica-bucket"))
    assert copy.protect is own.protect is protect
    assert copy.inputs == {**own.inputs, "region": "eu-central-1"}
    for kind in (BLOCK, ENCRYPTION, LIFECYCLE):
        of_own, of_copy = (
            {k: v for k, v in each.inputs.items() if k not in ("bucket", "region")}
            for each in sorted(snapshot.all(kind), key=lambda r: "replica" in r.name)
        )
        assert of_copy == of_own, kind
    (only_tls,) = statements(snapshot.one(POLICY, "logs-replica-tls-only").inputs["policy"])
    assert only_tls["Effect"] == "Deny"
    assert only_tls["Resource"] == [REPLICA, f"{REPLICA}/*"]


def test_everything_of_the_replica_is_in_its_region(replicated):
    snapshot = replicated()

    of_replica = [
        r for r in snapshot.resources.values() if r.inputs.get("bucket") == "logs-replica-bucket"
    ]
    assert len(of_replica) == 5
    assert {r.inputs.get("region") for r in of_replica} == {"eu-central-1"}


def test_versions_expire_with_their_objects(replicated, logs):
    for lifecycle in replicated().all(LIFECYCLE):
        (rule,) = lifecycle.inputs["rules"]
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}, (
            "an expired object would stay as a noncurrent version"
        )
    (rule,) = logs().one(LIFECYCLE).inputs["rules"]
    assert "noncurrentVersionExpiration" not in rule, "a bucket without versions has none"


def test_new_logs_are_replicated_once_both_have_versions(replicated):
    snapshot = replicated()

    replication = snapshot.one(REPLICATION)
    versions = snapshot.all(VERSIONS)
    assert {v.inputs["bucket"] for v in versions} == {"logs-bucket", "logs-replica-bucket"}
    assert {v.inputs["versioningConfiguration"]["status"] for v in versions} == {"Enabled"}
    assert {v.urn for v in versions} <= replication.depends_on
    assert replication.inputs["bucket"] == "logs-bucket"
    (rule,) = replication.inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule["destination"] == {"bucket": REPLICA}
    assert rule["deleteMarkerReplication"] == {"status": "Disabled"}


def test_the_replication_may_read_one_bucket_and_write_one(replicated):
    snapshot = replicated()

    role = snapshot.one("aws:iam/role:Role", "logs-replica-role")
    (trust,) = statements(role.inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}
    assert snapshot.one(REPLICATION).inputs["role"].endswith(":role/logs-replica-role")
    rights = {
        statement["Resource"]: statement["Action"]
        for statement in statements(snapshot.one(ROLE_POLICY, "logs-replica-role").inputs["policy"])
    }
    assert rights == {
        ARN: ["s3:GetReplicationConfiguration", "s3:ListBucket"],
        f"{ARN}/*": [
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionTagging",
        ],
        f"{REPLICA}/*": ["s3:ReplicateObject", "s3:ReplicateTags"],
    }
