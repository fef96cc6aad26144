"""`make bootstrap` on a new account: with the AWS CLI, without Pulumi and without a cluster."""

import json

import boto3
import pytest

from ops import bootstrap, stack_files
from ops.shell import OperationError
from tests.engine.aws_cli import in_process
from tests.engine.simulator import identity
from tests.engine.simulator.cloud import Cloud

# Each test opens an account of its own, which takes seconds.
pytestmark = pytest.mark.slow

BUCKET = "my-pulumi-state"
STEPS = 9


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    with Cloud() as cloud:
        in_process(monkeypatch, cloud)
        yield cloud


@pytest.fixture
def in_region(monkeypatch, tmp_path):
    """A stack file `dev` in another Region."""

    def change(region):
        text = stack_files.stack_path("dev").read_text().replace("eu-west-1", region)
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
        monkeypatch.setattr(stack_files, "ROOT", tmp_path)

    return change


def own_keys(kms):
    """Keys without those of AWS services."""
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return [key["KeyId"] for key in keys if key["KeyManager"] == "CUSTOMER"]


def account(cloud, region="eu-west-1"):
    """Everything that the command creates."""
    s3, kms, iam = (
        boto3.client(
            service,
            endpoint_url=cloud.url,
            region_name=region,
            aws_access_key_id="simulated",
            aws_secret_access_key="simulated",
        )
        for service in ("s3", "kms", "iam")
    )
    (alias,) = [a for a in kms.list_aliases()["Aliases"] if a["AliasName"] == "alias/pulumi"]
    return {
        "location": s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"],
        "versioning": s3.get_bucket_versioning(Bucket=BUCKET)["Status"],
        "public": s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"],
        "encryption": s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"],
        "policy": json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"]),
        "keys": own_keys(kms),
        "key": alias["TargetKeyId"],
        "rotates": kms.get_key_rotation_status(KeyId=alias["TargetKeyId"])["KeyRotationEnabled"],
        "roles": [role["RoleName"] for role in iam.list_roles()["Roles"]],
    }


def test_a_new_account_gets_bucket_key_and_spot_role(cloud, capsys):
    assert bootstrap.bootstrap("dev", BUCKET, yes=True) == 0

    found = account(cloud)
    assert found["location"] == "eu-west-1"
    assert found["versioning"] == "Enabled"
    assert all(found["public"].values())
    assert found["encryption"]["Rules"], "the bucket encrypts by default"
    (statement,) = found["policy"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert found["keys"] == [found["key"]]
    assert found["rotates"]
    assert set(found["roles"]) - set(identity.ROLES) == {"AWSServiceRoleForEC2Spot"}
    output = capsys.readouterr().out
    assert output.count("\n  create  ") == STEPS
    assert 'export PULUMI_BACKEND_URL="s3://my-pulumi-state?region=eu-west-1"' in output
    assert '"awskms://alias/pulumi?region=eu-west-1"' in output


def test_a_second_bootstrap_changes_nothing(cloud, capsys):
    bootstrap.bootstrap("dev", BUCKET, yes=True)
    before = account(cloud)
    capsys.readouterr()

    assert bootstrap.bootstrap("dev", BUCKET) == 0, "without a change there is no question"

    output = capsys.readouterr().out
    assert "create" not in output
    assert output.count("  exists  ") == STEPS
    assert account(cloud) == before


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_bucket_is_created_in_every_region(cloud, in_region, region):
    in_region(region)

    assert bootstrap.bootstrap("dev", BUCKET, yes=True) == 0

    assert account(cloud, region)["location"] == (None if region == "us-east-1" else region)


def test_an_interrupted_bootstrap_ends_like_a_whole_one(cloud, monkeypatch):
    """Killed after each call that changes the account, then repeated."""
    call = bootstrap.Aws.call
    changes = ("create-", "put-", "enable-")
    done = []

    def killed(aws, *words, **more):
        answer = call(aws, *words, **more)
        if words[1].startswith(changes):
            done.append(words[1])
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(bootstrap.Aws, "call", killed)
    for _ in range(STEPS):
        with pytest.raises(KeyboardInterrupt):
            bootstrap.bootstrap("dev", BUCKET, yes=True)
    bootstrap.bootstrap("dev", BUCKET, yes=True)

    assert len(set(done)) == len(done) == STEPS, "each change is made once"
    assert account(cloud)["keys"] == [account(cloud)["key"]]


def test_a_policy_of_others_stays(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    foreign = {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [foreign]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))

    bootstrap.bootstrap("dev", BUCKET, yes=True)

    statements = account(cloud)["policy"]["Statement"]
    assert statements[0] == foreign
    assert [s["Sid"] for s in statements] == ["Theirs", "RequireTls"]


def test_a_bucket_of_another_account_is_refused(cloud):
    session = cloud.client("sts").assume_role(
        RoleArn="arn:aws:iam::999999999999:role/other", RoleSessionName="other"
    )["Credentials"]
    boto3.client(
        "s3",
        endpoint_url=cloud.url,
        region_name="eu-west-1",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    ).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    with pytest.raises(OperationError, match="belongs to another AWS account"):
        bootstrap.bootstrap("dev", BUCKET, yes=True)

    assert own_keys(cloud.client("kms")) == [], "nothing was changed"
