"""`make bootstrap` with a fake AWS CLI: questions and refusals. tests/engine runs it on an account."""

import json
import sys

import pytest

from ops import bootstrap, stack_files
from ops.shell import OperationError

BUCKET = "my-pulumi-state"
B = "arn:aws:s3:::b"
VERSION = 'echo "aws-cli/2.22.0"'
MISSING = "echo 'An error occurred (404) when calling the HeadBucket operation' >&2; exit 254"
FOREIGN = "echo 'An error occurred (403) when calling the HeadBucket operation' >&2; exit 254"
NO_KEY = "echo 'An error occurred (NotFoundException)' >&2; exit 254"
NO_ROLE = "echo 'An error occurred (NoSuchEntity)' >&2; exit 254"
CHANGES = ("create-", "put-", "enable-")


def prints(value):
    return f"printf '%s' '{json.dumps(value)}'"


@pytest.fixture
def aws(tools, monkeypatch):
    """A new account; `answers` replace those of some commands."""

    def make(**answers):
        cases = {
            "get-caller-identity": prints({"Account": "111122223333"}),
            "head-bucket": MISSING,
            "describe-key": NO_KEY,
            "get-resources": prints({"ResourceTagMappingList": []}),
            "get-role": NO_ROLE,
            "create-key": prints({"KeyMetadata": {"KeyId": "k-1"}}),
        }
        given = {words.replace("_", "-"): answer for words, answer in answers.items()}
        # The first pattern that matches decides.
        cases = {**given, **{words: cases[words] for words in cases if words not in given}}
        script = "".join(f"  *'{words}'*) {answer} ;;\n" for words, answer in cases.items())
        tools("aws", f'case "$*" in\n  --version) {VERSION} ;;\n{script}esac')

    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    make.changes = lambda: [
        c for c in tools.calls() if len(c.split()) > 2 and c.split()[2].startswith(CHANGES)
    ]
    make()
    return make


def run(**options):
    return bootstrap.bootstrap("dev", BUCKET, **options)


def test_without_a_terminal_nothing_is_created(aws, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    with pytest.raises(OperationError, match=r"nothing was changed: there is no terminal.*YES=1"):
        run()
    assert aws.changes() == []


@pytest.mark.parametrize("answer", ["", "n", "no"])
def test_without_a_yes_nothing_is_created(aws, monkeypatch, capsys, answer):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    assert run() == 1
    assert capsys.readouterr().out.endswith("Nothing was changed.\n")
    assert aws.changes() == []


def test_one_yes_creates_everything(aws, monkeypatch):
    questions = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "y")

    assert run() == 0
    assert len(questions) == 1
    assert len(aws.changes()) == 9


def test_a_bucket_of_another_account_changes_nothing(aws):
    aws(head_bucket=FOREIGN)

    with pytest.raises(OperationError, match=r"'my-pulumi-state' belongs to another AWS account"):
        run(yes=True)
    assert aws.changes() == []


def test_the_owner_of_the_bucket_is_checked(aws, tools):
    run(yes=True)

    (head,) = [call for call in tools.calls() if "head-bucket" in call]
    assert "--expected-bucket-owner 111122223333" in head


def test_a_bucket_taken_meanwhile_is_named(aws):
    aws(create_bucket="echo 'An error occurred (BucketAlreadyExists)' >&2; exit 254")

    with pytest.raises(OperationError, match="belongs to another AWS account"):
        run(yes=True)


@pytest.mark.parametrize("state", ["PendingDeletion", "Disabled"])
def test_an_alias_of_an_unusable_key_is_refused(aws, state):
    aws(describe_key=prints({"KeyMetadata": {"KeyId": "k-1", "KeyState": state}}))

    with pytest.raises(OperationError, match=rf"alias/pulumi names a KMS key in state {state}"):
        run(yes=True)
    assert aws.changes() == []


def test_a_deleted_key_without_alias_is_not_used(aws):
    arn = "arn:aws:kms:eu-west-1:111122223333:key/k-0"
    aws(
        get_resources=prints({"ResourceTagMappingList": [{"ResourceARN": arn}]}),
        **{
            "key-id alias/pulumi": NO_KEY,
            f"key-id {arn}": prints({"KeyMetadata": {"KeyState": "PendingDeletion"}}),
            "describe-key": "exit 9",
        },
    )

    run(yes=True)

    assert any("create-key" in call for call in aws.changes())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("local", {"bucket": BUCKET}, "has no aws:region"),
        ("dev", {}, "BUCKET=my-pulumi-state"),
        ("dev", {"bucket": BUCKET, "key_alias": "pulumi"}, "must begin with alias/, got 'pulumi'"),
    ],
)
def test_a_mistake_in_the_arguments_is_named(aws, tools, name, options, message):
    with pytest.raises(OperationError, match=message):
        bootstrap.bootstrap(name, **options)
    assert tools.calls() == []


def test_the_bucket_defaults_to_that_of_the_backend(aws, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://from-backend/airflow?region=eu-west-1")

    bootstrap.bootstrap("dev", yes=True)

    assert any("create-bucket --bucket from-backend " in call for call in aws.changes())


@pytest.mark.parametrize("url", ["", "file://.state", "https://api.pulumi.com", "s3://"])
def test_other_backends_have_no_bucket(url):
    assert bootstrap.state_bucket(url) is None


def test_an_initialized_stack_is_not_initialized_again(aws, monkeypatch, tmp_path, capsys):
    text = stack_files.stack_path("dev").read_text()
    (tmp_path / "Pulumi.dev.yaml").write_text(f"secretsprovider: awskms://alias/pulumi\n{text}")
    monkeypatch.setattr(stack_files, "ROOT", tmp_path)

    run(yes=True)

    assert "pulumi stack init" not in capsys.readouterr().out


def test_the_policy_keeps_the_statements_of_others():
    theirs = {"Sid": "Theirs", "Effect": "Allow"}

    merged = bootstrap.with_tls_only({"Version": "2012-10-17", "Statement": theirs}, B)

    first, ours = merged["Statement"]
    assert first == theirs
    assert ours["Resource"] == [B, f"{B}/*"]
    assert bootstrap.with_tls_only(merged, B) == merged


def test_the_same_statement_under_another_id_suffices():
    policy = bootstrap.with_tls_only({}, B)
    policy["Statement"][0]["Sid"] = "DenyHttp"

    assert bootstrap.with_tls_only(policy, B) == policy


def test_another_statement_with_our_id_is_never_replaced():
    policy = {"Statement": [{"Sid": "RequireTls", "Effect": "Allow"}]}

    with pytest.raises(OperationError, match="has another statement RequireTls"):
        bootstrap.with_tls_only(policy, B)
