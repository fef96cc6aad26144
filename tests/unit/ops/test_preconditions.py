"""The checks before `make up` with a fake AWS CLI. tests/engine runs them on an account."""

import pytest

from ops import lifecycle, preconditions, stack_files
from ops.shell import OperationError

DENIED = "An error occurred (AccessDeniedException) when calling GetServiceQuota: not for you"


@pytest.fixture
def settings():
    return stack_files.read_settings("prod")


@pytest.fixture
def answers(tools):
    def make(script):
        tools("aws", f'case "$*" in *--version*) echo aws-cli/2.7.0 ;; *) {script} ;; esac')

    return make


def test_a_missing_permission_is_a_note_not_a_failure(answers, settings, capsys, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    answers(f'case "$*" in *get-caller-identity*) ;; *) echo "{DENIED}" >&2; exit 254 ;; esac')

    preconditions.check("prod", settings)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4, "bucket, Elastic IPs, vCPUs, RDS class: prod needs no spot role"
    assert all(line.startswith("note: ") and "AccessDenied" in line for line in lines)


def test_another_error_of_aws_is_an_error(answers, settings):
    answers('case "$*" in *get-caller-identity*) ;; *) echo "(InternalError)" >&2; exit 1 ;; esac')

    with pytest.raises(OperationError, match="InternalError"):
        preconditions.check("prod", settings)


def test_an_account_is_checked_before_anything_is_opened(monkeypatch, settings):
    def refused(name, found):
        raise OperationError("not ready")

    monkeypatch.setattr(lifecycle, "checked_settings", lambda name: settings)
    monkeypatch.setattr(lifecycle.preconditions, "check", refused)
    monkeypatch.setattr(lifecycle, "open_or_create", lambda *_: pytest.fail("too late"))

    with pytest.raises(OperationError, match="not ready"):
        lifecycle.up("prod")


@pytest.mark.parametrize(("name", "gateways"), [("dev", 1), ("prod", 3), ("local", 0)])
def test_each_nat_gateway_needs_an_elastic_ip(name, gateways):
    assert preconditions._nat_gateways(stack_files.read_settings(name)) == gateways
