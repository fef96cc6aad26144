from ops import session


def test_the_account_has_region_and_tags_of_the_stack():
    account = session.aws_account("dev")

    assert account.region == "eu-west-1"
    assert account.tags == {
        "project": "airflow-platform",
        "stack": "dev",
        "managed-by": "pulumi",
    }


def test_a_stack_without_a_region_has_no_account():
    assert session.aws_account("local") is None
