"""The Region of a stack needs a root certificate for the TLS connections to its database."""

import json

import pulumi
import pytest

import settings
from settings.rds_ca import RDS_CA, regions
from tests.unit.settings.stacks import EKS, KEY, LOCAL, changed


@pytest.fixture
def load(deploy):
    def run(given, region):
        config = {KEY: json.dumps(given), "aws:region": region}
        snapshot = deploy(settings.load, stack="prod", config=config)
        return [w for w in snapshot.warnings if "database.ca_file" in w]

    return run


@pytest.fixture
def other_file(tmp_path):
    """A PEM file with the root certificates of one Region."""
    blocks = RDS_CA.read_text().split("# Amazon RDS ")
    file = tmp_path / "ca.pem"
    file.write_text("".join(block for block in blocks if block.startswith("eu-south-2 ")))
    return file


def test_the_regions_of_a_file_are_those_of_its_certificates(other_file):
    assert regions(other_file) == {"eu-south-2"}
    assert {"eu-west-1", "us-east-1"} < regions(RDS_CA)


def test_a_file_that_is_no_certificate_has_no_region(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")

    assert regions(file) == set()


@pytest.mark.parametrize("region", ["il-central-1", "eu-west-9", "us-gov-west-1"])
def test_a_region_without_root_certificate_stops_the_plan(load, region):
    with pytest.raises(pulumi.RunError) as stopped:
        load(EKS, region)

    file, line = str(stopped.value).splitlines()
    assert file == "Pulumi.prod.yaml:"
    assert line.startswith(
        f"  aws:region: components/aws/rds_ca.pem has no root certificate of RDS for '{region}', only "
        "for af-south-1, ap-east-1,"
    )
    url = f"https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem"
    assert f"download {url} " in line
    assert line.endswith("and set database.ca_file to its path")


def test_a_region_is_reported_together_with_other_mistakes(load):
    with pytest.raises(pulumi.RunError) as stopped:
        load(changed(EKS, "workers.maks", 3), "il-central-1")

    _, first, second = str(stopped.value).splitlines()
    assert ("workers.maks" in first, "aws:region" in second) == (True, True)


@pytest.mark.parametrize("region", ["eu-west-1", "us-west-2"])
def test_a_region_with_root_certificate_is_accepted(load, region):
    assert load(EKS, region) == []


def test_a_stack_without_rds_needs_no_root_certificate(load):
    assert load(LOCAL, "il-central-1") == []


def test_a_ca_file_of_the_region_is_accepted(load, other_file):
    assert load(changed(EKS, "database.ca_file", str(other_file)), "eu-south-2") == []


def test_a_ca_file_of_another_authority_is_a_warning(load, other_file):
    (warning,) = load(changed(EKS, "database.ca_file", str(other_file)), "il-central-1")

    assert warning == (
        f"Pulumi.prod.yaml: {KEY}.database.ca_file: {other_file} has no root certificate of RDS for "
        "il-central-1: unless the database has a certificate of another authority, Airflow cannot "
        "connect to it"
    )
