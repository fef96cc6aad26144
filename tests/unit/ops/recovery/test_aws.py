"""Resources that an interrupted command was creating in AWS, with a fake AWS CLI."""

import json

import pytest

from ops import stack_files
from ops.recovery.aws import EC2, FINDERS, Aws
from ops.shell import OperationError

TAGS = {"project": "airflow-platform", "stack": "dev"}
TAG_LIST = [{"Key": key, "Value": value} for key, value in TAGS.items()]
NAMED = {"Name": "network-vpc"}


@pytest.fixture
def aws(tools):
    """An AWS CLI with answers by the first words of a command: a shell command, or JSON."""

    def make(answers):
        cases = "".join(
            f"  '{words}'*) {answer if isinstance(answer, str) else prints(answer)} ;;\n"
            for words, answer in answers.items()
        )
        tools("aws", f'case "$*" in\n{cases}  *) echo unexpected: "$*" >&2; exit 9 ;;\nesac')
        return Aws(region="eu-west-1", tags=TAGS)

    make.calls = tools.calls
    return make


def prints(value):
    return f"printf '%s' '{json.dumps(value)}'"


NOTHING = "echo 'An error occurred (ResourceNotFoundException): no such thing' >&2; exit 254"
DENIED = "echo 'An error occurred (AccessDenied): not for you' >&2; exit 254"


def rows(id_, tags):
    return [{"ResourceId": id_, "Key": key, "Value": value} for key, value in tags.items()]


def described(**resources):
    """Answers of `describe-tags` for existing resources: by name, then by resource ID."""
    ids = {id_.replace("_", "-"): tags for id_, tags in resources.items()}
    found = [row for id_, tags in ids.items() for row in rows(id_, tags)]
    answers = {
        f"ec2 describe-tags --filters Name=resource-id,Values={id_}": {"Tags": rows(id_, tags)}
        for id_, tags in ids.items()
    }
    existing = {f"ec2 {' '.join(words)}": {"Rows": [{}]} for words in EC2.values()}
    tags = {"ec2 describe-tags --filters Name=resource-type": {"Tags": found}}
    return answers | tags | existing


VPC = {"type": "aws:ec2/vpc:Vpc", "inputs": {"tags": NAMED}}


def test_an_ec2_resource_is_found_by_its_tags(aws):
    account = aws(
        described(
            vpc_1={**TAGS, "stack": "staging", **NAMED},
            vpc_2={**TAGS, **NAMED, "more": "of it"},
        )
    )

    assert account.identify(VPC) == "vpc-2"
    first, *_ = aws.calls()
    assert "Name=resource-type,Values=vpc Name=value,Values=network-vpc" in first
    assert first.endswith("--region eu-west-1 --output json")


def test_a_resource_of_another_stack_is_never_adopted(aws):
    account = aws(described(vpc_1={**TAGS, "stack": "staging", **NAMED}))

    assert account.identify(VPC) is None


@pytest.mark.parametrize(
    "answer",
    [
        "echo 'An error occurred (InvalidVpcID.NotFound)' >&2; exit 254",
        {"Vpcs": []},
        {"Vpcs": [{"State": "deleted"}]},
        {"Vpcs": [{"State": "Deleting"}]},
        {"Vpcs": [{"State": "failed"}]},
    ],
    ids=["not found", "empty", "deleted", "deleting", "failed"],
)
def test_tags_of_deleted_resources_are_ignored(aws, answer):
    answers = {
        "ec2 describe-vpcs --vpc-ids vpc-1": answer,
        **described(vpc_1={**TAGS, **NAMED}, vpc_2={**TAGS, **NAMED}),
    }

    assert aws(answers).identify(VPC) == "vpc-2"


def test_a_key_pending_deletion_is_not_adopted(aws):
    arns = [f"arn:aws:kms:eu-west-1:1:key/k-{number}" for number in (1, 2)]
    keys = {"k-1": "PendingDeletion", "k-2": "Enabled"}
    answers = {
        "resourcegroupstaggingapi get-resources": {
            "ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]
        },
        **{
            f"kms describe-key --key-id {arn}": {"KeyMetadata": {"KeyId": id_, "KeyState": state}}
            for arn, (id_, state) in zip(arns, keys.items(), strict=True)
        },
    }

    found = aws(answers).identify({"type": "aws:kms/key:Key", "inputs": {"tags": {"Name": "k"}}})

    assert found == "k-2"


def test_a_key_of_another_region_is_found_there(aws):
    answers = {"resourcegroupstaggingapi get-resources": {"ResourceTagMappingList": []}}
    inputs = {"region": "eu-central-1", "tags": {"Name": "k"}}

    assert aws(answers).identify({"type": "aws:kms/key:Key", "inputs": inputs}) is None
    assert all("--region eu-central-1" in call for call in aws.calls())


def test_a_bucket_of_another_region_is_found_there(aws):
    inputs = {"bucket": "b", "region": "eu-central-1"}
    account = aws({"s3api get-bucket-location --bucket b --region eu-central-1": {}})

    assert account.identify({"type": "aws:s3/bucket:Bucket", "inputs": inputs}) == "b"


def test_a_resource_without_a_name_is_not_looked_up(aws):
    assert aws({}).identify({"type": VPC["type"], "inputs": {}}) is None
    assert aws.calls() == []


def test_resources_of_other_providers_are_not_looked_up(aws):
    assert aws({}).identify({"type": "random:index/randomId:RandomId", "inputs": {}}) is None


def test_a_nat_gateway_is_waited_for(aws):
    answers = described(nat_1={**TAGS, "Name": "nat"}) | {"ec2 wait nat-gateway-available": ":"}

    found = aws(answers).identify(
        {"type": "aws:ec2/natGateway:NatGateway", "inputs": {"tags": {"Name": "nat"}}}
    )

    assert found == "nat-1"
    assert any("ec2 wait nat-gateway-available --nat-gateway-ids nat-1" in c for c in aws.calls())


def test_refused_credentials_stop_a_command_at_its_start(aws):
    account = aws({"sts get-caller-identity": "echo 'ExpiredToken: log in' >&2; exit 254"})

    with pytest.raises(
        OperationError, match=r"(?s)nothing was changed.*ExpiredToken.*aws sso login"
    ):
        account.check_reachable()


def test_valid_credentials_are_accepted(aws):
    aws({"sts get-caller-identity": {"Account": "1"}}).check_reachable()

    assert aws.calls() == ["aws sts get-caller-identity --region eu-west-1 --output json"]


TABLE = {
    "Routes": [{"DestinationCidrBlock": "0.0.0.0/0"}],
    "Associations": [{"SubnetId": "subnet-1", "RouteTableAssociationId": "rtbassoc-1"}],
}
POD = {"clusterName": "c", "namespace": "n", "serviceAccount": "s"}
ARN = "arn:aws:kms:eu-west-1:1:key/k-1"
LOG_ARN = "arn:aws:logs:eu-west-1:1:log-group:/g"
LOG_GROUPS = {
    "logGroups": [
        {"logGroupName": "/g/other", "arn": f"{LOG_ARN}/other:*"},
        {"logGroupName": "/g", "arn": f"{LOG_ARN}:*"},
    ]
}
REPLICATION = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"


def backup(arn, instance, status):
    return {"DBInstanceAutomatedBackupsArn": arn, "DBInstanceArn": instance, "Status": status}


# By type: inputs, answers of the AWS CLI, the ID, and the answer for a missing resource.
FOUND = {
    "aws:ec2/route:Route": (
        {"routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0"},
        {"ec2 describe-route-tables --route-table-ids rtb-1": {"RouteTables": [TABLE]}},
        "r-rtb-1-0.0.0.0/0",
        {"RouteTables": [{"Routes": [{"DestinationCidrBlock": "10.0.0.0/16"}]}]},
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        {"subnetId": "subnet-1"},
        {
            "ec2 describe-route-tables --filters Name=association.subnet-id,Values=subnet-1": {
                "RouteTables": [TABLE]
            }
        },
        "rtbassoc-1",
        {"RouteTables": []},
    ),
    "aws:kms/key:Key": (
        {"tags": {"Name": "k"}},
        {
            "resourcegroupstaggingapi get-resources --resource-type-filters kms:key": {
                "ResourceTagMappingList": [{"ResourceARN": ARN}]
            },
            f"kms describe-key --key-id {ARN}": {
                "KeyMetadata": {"KeyId": "k-1", "KeyState": "Enabled"}
            },
        },
        "k-1",
        {"ResourceTagMappingList": []},
    ),
    "aws:eks/cluster:Cluster": (
        {"name": "c"},
        {
            "eks describe-cluster --name c": {"cluster": {"tags": TAGS}},
            "eks wait cluster-active --name c": ":",
        },
        "c",
        NOTHING,
    ),
    "aws:eks/addon:Addon": (
        {"clusterName": "c", "addonName": "a"},
        {
            "eks describe-addon --cluster-name c --addon-name a": {"addon": {}},
            "eks wait addon-active --cluster-name c --addon-name a": ":",
        },
        "c:a",
        NOTHING,
    ),
    "aws:eks/accessEntry:AccessEntry": (
        {"clusterName": "c", "principalArn": "p"},
        {
            "eks describe-access-entry --cluster-name c --principal-arn p": {
                "accessEntry": {"principalArn": "p"}
            }
        },
        "c:p",
        NOTHING,
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        {"name": "/g"},
        {
            "logs describe-log-groups --log-group-name-prefix /g": LOG_GROUPS,
            f"logs list-tags-for-resource --resource-arn {LOG_ARN} ": {"tags": TAGS},
        },
        "/g",
        {"logGroups": LOG_GROUPS["logGroups"][:1]},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (
        POD,
        {
            "eks list-pod-identity-associations --cluster-name c --namespace n --service-account s": {
                "associations": [{"associationId": "a-1"}]
            }
        },
        "a-1",
        {"associations": []},
    ),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": (
        {"ecrRepositoryPrefix": "p"},
        {
            "ecr describe-pull-through-cache-rules --ecr-repository-prefixes p": {
                "pullThroughCacheRules": [{}]
            }
        },
        "p",
        "echo 'An error occurred (PullThroughCacheRuleNotFoundException): none' >&2; exit 254",
    ),
    "aws:ecr/repository:Repository": (
        {"name": "p/redis"},
        {"ecr describe-repositories --repository-names p/redis": {"repositories": [{}]}},
        "p/redis",
        "echo 'An error occurred (RepositoryNotFoundException): none' >&2; exit 254",
    ),
    "aws:iam/role:Role": (
        {"name": "r"},
        {"iam get-role --role-name r": {"Role": {"RoleName": "r"}}},
        "r",
        NOTHING,
    ),
    "aws:rds/subnetGroup:SubnetGroup": (
        {"name": "g"},
        {"rds describe-db-subnet-groups --db-subnet-group-name g": {"DBSubnetGroups": [{}]}},
        "g",
        NOTHING,
    ),
    "aws:rds/parameterGroup:ParameterGroup": (
        {"name": "g"},
        {
            "rds describe-db-parameter-groups --db-parameter-group-name g": {
                "DBParameterGroups": [{}]
            }
        },
        "g",
        NOTHING,
    ),
    "aws:rds/instance:Instance": (
        {"identifier": "i"},
        {
            "rds describe-db-instances --db-instance-identifier i": {
                "DBInstances": [{"DbiResourceId": "db-1", "TagList": TAG_LIST}]
            },
            "rds wait db-instance-available --db-instance-identifier i": ":",
        },
        "db-1",
        NOTHING,
    ),
    REPLICATION: (
        {"region": "eu-central-1", "sourceDbInstanceArn": "a"},
        {
            "rds describe-db-instance-automated-backups --region eu-central-1": {
                "DBInstanceAutomatedBackups": [
                    backup("ab-1", "another", "replicating"),
                    backup("ab-2", "a", "Retained"),
                    backup("ab-3", "a", "Replicating"),
                ]
            }
        },
        "ab-3",
        {"DBInstanceAutomatedBackups": [backup("ab-2", "a", "retained")]},
    ),
    "aws:secretsmanager/secret:Secret": (
        {"name": "s"},
        {"secretsmanager describe-secret --secret-id s ": {"ARN": "arn:s", "Name": "s"}},
        "arn:s",
        NOTHING,
    ),
    "aws:s3/bucket:Bucket": (
        {"bucket": "b"},
        {"s3api get-bucket-location --bucket b": {"LocationConstraint": "eu-west-1"}},
        "b",
        NOTHING,
    ),
}
BY_TAGS = {kind for kind in FINDERS if kind not in FOUND}


@pytest.mark.parametrize("kind", FOUND)
def test_an_existing_resource_is_identified_once_ready(aws, kind):
    inputs, answers, id_, _ = FOUND[kind]

    assert aws(answers).identify({"type": kind, "inputs": inputs}) == id_
    calls = "\n".join(aws.calls())
    assert all(words in calls for words in answers), "`aws <service> wait` is among them"


@pytest.mark.parametrize("kind", FOUND)
def test_a_missing_resource_is_not_identified(aws, kind):
    inputs, answers, _, missing = FOUND[kind]

    account = aws(dict.fromkeys(answers, missing))
    assert account.identify({"type": kind, "inputs": inputs}) is None


@pytest.mark.parametrize(
    ("tags", "found"),
    [({}, "/g"), ({"stack": "dev", "of": "us"}, "/g"), ({"stack": "prod"}, None)],
    ids=["made by AWS", "of this stack", "of another stack"],
)
def test_a_log_group_of_another_stack_is_not_identified(aws, tags, found):
    group = {"type": "aws:cloudwatch/logGroup:LogGroup", "inputs": {"name": "/g"}}
    answers = {"logs describe-log-groups": LOG_GROUPS, "logs list-tags": {"tags": tags}}

    assert aws(answers).identify(group) == found


@pytest.mark.parametrize(
    "tags", [[], TAG_LIST[:1], [TAG_LIST[0], {**TAG_LIST[1], "Value": "prod"}]]
)
def test_a_database_of_another_stack_is_not_identified(aws, tags):
    database = {"type": "aws:rds/instance:Instance", "inputs": {"identifier": "i"}}
    found = {"DBInstances": [{"DbiResourceId": "db-1", "TagList": tags}]}

    assert aws({"rds describe-db-instances": found}).identify(database) is None


def test_a_denied_lookup_is_an_error(aws):
    account = aws({"eks describe-cluster": DENIED})

    with pytest.raises(OperationError, match="AccessDenied"):
        account.identify({"type": "aws:eks/cluster:Cluster", "inputs": {"name": "c"}})


@pytest.mark.parametrize("kind", sorted(BY_TAGS))
def test_every_resource_found_by_tags_has_a_name(stack, kind):
    declared, _ = stack("prod")

    for resource in declared.all(kind):
        assert "Name" in resource.inputs.get("tags", {}), (
            f"{resource.name}: add an example to FOUND, or the tag `Name`, by which recovery finds it"
        )


# Their creation is idempotent: they only set properties of another resource.
REPEATABLE = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    # It has no error for an existing association:
    # https://docs.aws.amazon.com/eks/latest/APIReference/API_AssociateAccessPolicy.html
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
    "aws:s3/bucketVersioning:BucketVersioning",
    # Another version with the same content:
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    "aws:secretsmanager/secretVersion:SecretVersion",
}


@pytest.mark.parametrize("name", [n for n in stack_files.stack_names() if n != "local"])
def test_every_aws_resource_type_can_be_recovered(stack, name):
    declared, _ = stack(name)

    types = {r.type for r in declared.resources.values() if r.type.startswith("aws:")}
    unknown = sorted(types - FINDERS.keys() - REPEATABLE)
    assert not unknown, (
        "add these types to FINDERS in ops/recovery/aws.py, which looks resources up after an "
        "interrupted `make up`, with an example in FOUND here; or to REPEATABLE here if AWS accepts "
        "a second create of the same name"
    )


def test_a_wait_goes_on_when_the_waiter_gives_up(aws, tmp_path):
    """A restore of a large database takes hours, the waiter of the AWS CLI 30 minutes."""
    tried = tmp_path / "tried"
    gives_up = "echo 'Waiter DBInstanceAvailable failed: Max attempts exceeded' >&2; exit 255"
    answer = f"test -e {tried} || {{ touch {tried}; {gives_up}; }}"

    aws({"rds wait": answer}).wait("rds", "db-instance-available")

    assert len(aws.calls()) == 2
    failed = "echo 'Waiter failed: Waiter encountered a terminal failure state' >&2; exit 255"
    with pytest.raises(OperationError, match="terminal failure"):
        aws({"rds wait": failed}).wait("rds", "db-instance-available")
