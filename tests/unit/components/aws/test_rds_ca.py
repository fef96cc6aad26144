import ssl
from datetime import UTC, datetime

import pytest
import yaml
from pydantic import ValidationError

from ops.stack_files import ROOT, stack_names
from settings.database import RdsSettings
from settings.rds_ca import RDS_CA


@pytest.fixture(scope="module")
def certificates():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=RDS_CA)
    return context.get_ca_certs()


def common_name(certificate):
    return dict(pair for part in certificate["subject"] for pair in part)["commonName"]


def test_every_certificate_is_valid_pem(certificates):
    written = RDS_CA.read_text().count("-----BEGIN CERTIFICATE-----")

    assert len(certificates) == written > 0


def test_every_certificate_is_an_amazon_rds_root(certificates):
    strangers = [
        common_name(c)
        for c in certificates
        if c["issuer"] != c["subject"] or not common_name(c).startswith("Amazon RDS ")
    ]
    assert strangers == [], "another CA could impersonate the database"


def test_no_certificate_expires_soon(certificates):
    soon = datetime(2027, 12, 1, tzinfo=UTC).timestamp()

    ending = [
        common_name(c) for c in certificates if ssl.cert_time_to_seconds(c["notAfter"]) < soon
    ]
    assert ending == [], "update the file: its first line has the source"


@pytest.mark.parametrize("kind", ["RSA2048", "RSA4096", "ECC384"])
def test_every_stack_region_has_every_key_type(certificates, kind):
    configs = [yaml.safe_load((ROOT / f"Pulumi.{s}.yaml").read_text()) for s in stack_names()]
    regions = {c["config"]["aws:region"] for c in configs if "aws:region" in c["config"]}

    wanted = {f"Amazon RDS {region} Root CA {kind} G1" for region in regions}
    assert wanted
    assert wanted <= {common_name(c) for c in certificates}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "should be a readable PEM file"), ("a text", "should contain PEM certificates")],
)
def test_a_file_without_certificates_is_refused(tmp_path, content, complaint):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ValidationError, match=complaint):
        RdsSettings(kind="rds", ca_file=str(file))
