"""Certificate authorities of RDS: each Region has its own root certificates."""

import re
import ssl
from functools import cache
from pathlib import Path

from settings.database import ContainerDatabaseSettings, ExistingDatabaseSettings, RdsSettings

ROOT = Path(__file__).parents[1]
# Mounted into the pods that connect to the database, unless `database.ca_file` is set.
RDS_CA = ROOT / "components" / "aws" / "rds_ca.pem"
SOURCE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html"
# For the partition `aws`; SOURCE lists the bundles of the others.
BUNDLE = "https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem"

DatabaseSettings = RdsSettings | ContainerDatabaseSettings | ExistingDatabaseSettings


@cache
def regions(file: Path) -> set[str]:
    """Regions with a root certificate in a PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        return set()
    subjects = [str(certificate.get("subject")) for certificate in context.get_ca_certs()]
    return {
        found[1] for text in subjects if (found := re.search(r"RDS ([a-z0-9-]+) Root CA", text))
    }


def mistake(database: DatabaseSettings | None, region: str | None) -> str | None:
    """A Region without root certificate: Airflow could not verify the database."""
    if not isinstance(database, RdsSettings) or database.ca_file is not None or region is None:
        return None
    known = regions(RDS_CA)
    if region in known:
        return None
    return (
        f"{RDS_CA.relative_to(ROOT)} has no root certificate of RDS for {region!r}, only for "
        f"{', '.join(sorted(known))}. If the Region exists, download {BUNDLE.format(region=region)} "
        f"(other partitions: {SOURCE}) and set database.ca_file to its path"
    )


def warning(database: DatabaseSettings, region: str | None) -> str | None:
    """Another file may be right, for example behind a proxy with its own authority."""
    if not isinstance(database, RdsSettings) or database.ca_file is None or region is None:
        return None
    if region in regions(Path(database.ca_file)):
        return None
    return (
        f"{database.ca_file} has no root certificate of RDS for {region}: unless the database has a "
        "certificate of another authority, Airflow cannot connect to it"
    )
