"""What AWS keeps of deleted clusters and databases, with a fake AWS CLI."""

import json

import pytest

from ops.recovery import leftovers
from ops.recovery.aws import Aws
from ops.recovery.leftovers import Leftover, Names

NAMES = Names(
    clusters=frozenset({"airflow-dev"}),
    instances=frozenset({"airflow-dev"}),
    namespaces=frozenset({"airflow"}),
)
NOTHING = "echo 'An error occurred (ResourceNotFoundException): no such thing' >&2; exit 254"
NO_INSTANCE = "echo 'An error occurred (DBInstanceNotFound): no such thing' >&2; exit 254"
IN_USE = "echo 'An error occurred (DependencyViolation): has a dependent object' >&2; exit 254"
LB = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/k8s-airflow/1"
TARGETS = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/k8s-airflow/1"
OTHER = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/other/1"
TAGS = [{"Key": "eks:eks-cluster-name", "Value": "airflow-dev"}]


OURS = [{"Key": "kubernetes.io/created-for/pvc/namespace", "Value": "airflow"}]


def prints(value):
    return f"printf '%s' '{json.dumps(value)}'"


EMPTY = {
    "eks describe-cluster": NOTHING,
    "rds describe-db-instances": NO_INSTANCE,
    "elbv2 describe-load-balancers": prints({"LoadBalancers": []}),
    "elbv2 describe-target-groups": prints({"TargetGroups": []}),
    "ec2 describe-network-interfaces": prints({"NetworkInterfaces": []}),
    "ec2 describe-volumes": prints({"Volumes": []}),
    "ec2 describe-security-groups": prints({"SecurityGroups": []}),
    "ec2 describe-security-group-rules": prints({"SecurityGroupRules": []}),
    "logs describe-log-groups": prints({"logGroups": []}),
}
FULL = {
    "elbv2 describe-load-balancers": prints(
        {"LoadBalancers": [{"LoadBalancerArn": LB}, {"LoadBalancerArn": OTHER}]}
    ),
    "elbv2 describe-target-groups": prints({"TargetGroups": [{"TargetGroupArn": TARGETS}]}),
    f"elbv2 describe-tags --resource-arns {LB}": prints(
        {"TagDescriptions": [{"ResourceArn": LB, "Tags": TAGS}, {"ResourceArn": OTHER, "Tags": []}]}
    ),
    "elbv2 describe-tags": prints({"TagDescriptions": [{"ResourceArn": TARGETS, "Tags": TAGS}]}),
    "ec2 describe-network-interfaces": prints(
        {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}
    ),
    "ec2 describe-volumes": prints({"Volumes": [{"VolumeId": "vol-1", "Tags": OURS}]}),
    "ec2 describe-security-groups --filters Name=tag:aws:eks": prints(
        {"SecurityGroups": [{"GroupId": "sg-2"}]}
    ),
    "ec2 describe-security-groups --filters Name=tag:eks:": prints(
        {"SecurityGroups": [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}]}
    ),
    "logs describe-log-groups": prints(
        {
            "logGroups": [
                {"logGroupName": "/aws/eks/airflow-dev/cluster"},
                {"logGroupName": "/aws/eks/airflow-dev/cluster-2"},
                {"logGroupName": "/aws/rds/instance/airflow-dev/postgresql"},
            ]
        }
    ),
}


@pytest.fixture
def aws(tools):
    """An AWS CLI with answers by the first words of a command; the first match answers."""

    def make(answers):
        every = {**answers, **{k: v for k, v in EMPTY.items() if k not in answers}}
        cases = "".join(f"  '{words}'*) {answer} ;;\n" for words, answer in every.items())
        tools("aws", f'case "$*" in\n{cases}  *) ;;\nesac')
        return Aws(region="eu-west-1", tags={})

    make.calls = tools.calls
    return make


def deletions(calls):
    words = [call.removeprefix("aws ").partition(" --region")[0] for call in calls]
    return [call for call in words if " delete-" in call or " revoke-" in call]


def test_an_account_without_leftovers_has_none(aws):
    assert leftovers.find(aws({}), NAMES) == []


def test_everything_of_a_deleted_cluster_is_found_and_deleted(aws, capsys):
    account = aws(FULL)

    found = leftovers.find(account, NAMES)
    assert [str(one) for one in found] == [
        f"load balancer {LB}",
        f"target group {TARGETS}",
        "network interface eni-1",
        "EBS volume vol-1",
        "security group sg-1",
        "security group sg-2",
        "log group /aws/eks/airflow-dev/cluster",
        "log group /aws/rds/instance/airflow-dev/postgresql",
    ]
    assert leftovers.delete(account, found) == {}
    assert deletions(aws.calls()) == [
        f"elbv2 delete-load-balancer --load-balancer-arn {LB}",
        f"elbv2 delete-target-group --target-group-arn {TARGETS}",
        "ec2 delete-network-interface --network-interface-id eni-1",
        "ec2 delete-volume --volume-id vol-1",
        "ec2 delete-security-group --group-id sg-1",
        "ec2 delete-security-group --group-id sg-2",
        "logs delete-log-group --log-group-name /aws/eks/airflow-dev/cluster",
        "logs delete-log-group --log-group-name /aws/rds/instance/airflow-dev/postgresql",
    ]
    assert "deleted the EBS volume vol-1, which AWS had kept" in capsys.readouterr().out


def test_a_volume_of_another_namespace_is_only_reported(aws):
    tags = [{"Key": "kubernetes.io/created-for/pvc/namespace", "Value": "reports"}]
    account = aws(
        {"ec2 describe-volumes": prints({"Volumes": [{"VolumeId": "vol-1", "Tags": tags}]})}
    )

    found = leftovers.find(account, NAMES)
    ((volume, reason),) = leftovers.delete(account, found).items()
    assert str(volume) == "EBS volume vol-1 of namespace 'reports'"
    assert reason == "not of this stack: delete it if its data is not needed"
    assert deletions(aws.calls()) == []


def test_nothing_of_existing_resources_is_a_leftover(aws):
    existing = {
        "eks describe-cluster": prints({"cluster": {}}),
        "rds describe-db-instances": prints({"DBInstances": [{}]}),
    }

    assert leftovers.find(aws(FULL | existing), NAMES) == []


def test_a_declared_log_group_is_found_by_its_name(aws):
    groups = {"logs describe-log-groups": prints({"logGroups": [{"logGroupName": "/vpc/flow"}]})}

    (found,) = leftovers.find(aws(groups), Names(log_groups=frozenset({"/vpc/flow"})))
    assert str(found) == "log group /vpc/flow"


def test_rules_that_name_another_group_are_removed_first(aws):
    rules = [
        {
            "SecurityGroupRuleId": "sgr-1",
            "IsEgress": False,
            "ReferencedGroupInfo": {"GroupId": "sg-2"},
        },
        {"SecurityGroupRuleId": "sgr-2", "IsEgress": False, "CidrIpv4": "0.0.0.0/0"},
        {
            "SecurityGroupRuleId": "sgr-3",
            "IsEgress": True,
            "ReferencedGroupInfo": {"GroupId": "sg-2"},
        },
    ]
    account = aws({"ec2 describe-security-group-rules": prints({"SecurityGroupRules": rules})})
    words = ("ec2", "delete-security-group", "--group-id", "sg-1")

    assert (
        leftovers.delete(account, [Leftover(kind="security group", name="sg-1", delete=words)])
        == {}
    )
    assert deletions(aws.calls()) == [
        "ec2 revoke-security-group-ingress --group-id sg-1 --security-group-rule-ids sgr-1",
        "ec2 delete-security-group --group-id sg-1",
    ]


def test_a_leftover_in_use_is_tried_again_until_the_deadline(aws, monkeypatch):
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(leftovers.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(leftovers.time, "sleep", lambda seconds: None)
    account = aws({"ec2 delete-volume": IN_USE})
    volume = Leftover(kind="EBS volume", name="vol-1", delete=("ec2", "delete-volume"))

    refused = leftovers.delete(account, [volume])
    assert list(refused) == [volume]
    assert "DependencyViolation): has a dependent object" in refused[volume]
    assert len(deletions(aws.calls())) == 4, "300 seconds, at 100 seconds each"


def test_another_error_is_reported_at_once(aws):
    account = aws({"ec2 delete-volume": "echo 'An error occurred (AccessDenied)' >&2; exit 254"})
    volume = Leftover(kind="EBS volume", name="vol-1", delete=("ec2", "delete-volume"))

    assert "AccessDenied" in leftovers.delete(account, [volume])[volume]


def test_what_is_in_a_vpc_is_named(aws):
    interface = {"NetworkInterfaceId": "eni-1", "Description": "ELB app/other"}
    groups = [
        {"GroupId": "sg-1", "GroupName": "other"},
        {"GroupId": "sg-0", "GroupName": "default"},
    ]
    account = aws(
        {
            "ec2 describe-network-interfaces": prints({"NetworkInterfaces": [interface]}),
            "ec2 describe-security-groups": prints({"SecurityGroups": groups}),
        }
    )

    assert leftovers.in_vpc(account, "vpc-1") == [
        "network interface eni-1 (ELB app/other)",
        "security group sg-1 (other)",
    ]
