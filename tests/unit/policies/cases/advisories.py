from policies.view import UNKNOWN
from tests.unit.policies.resources import RELEASE, airflow, container, resource, server

CVE = "https://www.cve.org/CVERecord?id="
OSS_SECURITY = "https://www.openwall.com/lists/oss-security/"
POSTGRESQL = "https://www.postgresql.org/support/security/"
KEDA = "https://github.com/kedacore/keda/security/advisories/"
GHSA = "https://github.com/redis/redis/security/advisories/GHSA-4789-qfc9-5f9q"
ROCKY = "https://osv.dev/vulnerability/RLSA-2026:25925"
ARCHIVE = "charts/keda-2.17.2.tgz"
DIGEST = f"sha256:{'0a' * 32}"


def redis(image):
    return server(container(name="redis", image=image))


def database(image):
    return server(container(name="database", image=image))


def keda(version):
    return resource(RELEASE, "keda-release", name="keda", chart="keda", version=version)


def on_airflow(fix, source, *versions):
    return {
        f"Set airflow.version to {fix} or later ({source})": [
            (f'defaultAirflowTag is "{version}"', airflow(defaultAirflowTag=version))
            for version in ("3.2.2", *versions)
        ]
    }


def on_fab(fix, source):
    return {
        f"Set airflow.version to a version with the FAB provider {fix} or later ({source})": [
            ('FAB provider of Airflow 3.2.2 is "3.6.4"', airflow(defaultAirflowTag="3.2.2"))
        ]
    }


def on_redis(image, fix, source):
    return {
        f"Set the tag of redis.image to {fix} or later ({source})": [
            (f'redis: image is "{image}"', redis(image))
        ]
    }


def on_postgresql(image, fix, source):
    return {
        f"Set the tag of database.image to {fix} or later ({source})": [
            (f'database: image is "{image}"', database(image))
        ]
    }


def on_keda(fix, source):
    chart = resource(RELEASE, "keda-release", name="keda", chart=ARCHIVE)
    return {
        f"Set KEDA_CHART in settings/versions.py to {fix} or later ({source})": [
            ('version of the chart keda is "2.17.2"', keda("2.17.2")),
            ('version of the chart keda is "2.17.2"', chart),
        ]
    }


BREACHES = {
    "server-version-exact": {
        "Set the tag of redis.image to an exact version": [
            (f'redis: image is "{image}"', redis(image))
            for image in ("redis:7.2-bookworm", "redis:7", f"r.example/redis:7.2@{DIGEST}")
        ],
        "Set the tag of database.image to an exact version": [
            (f'database: image is "{image}"', database(image))
            for image in ("postgres:16", "postgres:16-bookworm")
        ],
    },
    "cve-2026-33264": on_airflow("3.3.0", f"{CVE}CVE-2026-33264"),
    "cve-2026-49487": on_airflow("3.3.0", f"{OSS_SECURITY}2026/07/07/6"),
    "cve-2026-58076": on_airflow("3.3.1", f"{OSS_SECURITY}2026/08/12/5"),
    "cve-2026-68968": on_airflow("3.3.1", f"{OSS_SECURITY}2026/08/12/12"),
    "cve-2026-68982": on_airflow("3.4.0", f"{CVE}CVE-2026-68982", "3.4.0b2"),
    "cve-2026-59245": on_fab("3.7.2", f"{OSS_SECURITY}2026/07/13/4"),
    "cve-2026-82310": on_fab("3.9.0", f"{OSS_SECURITY}2026/09/15/10"),
    "cve-2025-49844": on_redis("redis:7.2.10-bookworm", "7.2.11", GHSA),
    "cve-2026-23479": on_redis("redis:7.2.13", "7.2.14", f"{CVE}CVE-2026-23479"),
    "cve-2026-23631": on_redis("r.example/redis:7.4.8", "7.4.9", f"{CVE}CVE-2026-23631"),
    "rlsa-2026-25925": on_redis("valkey/valkey:8.1.6", "8.1.7", ROCKY),
    "cve-2026-6637": on_postgresql(
        "postgres:16.13-bookworm", "16.14", f"{POSTGRESQL}CVE-2026-6637/"
    ),
    "cve-2026-14669": on_postgresql(
        f"r.example/team/postgres:16.14@{DIGEST}", "16.15", f"{POSTGRESQL}CVE-2026-14669/"
    ),
    "cve-2025-68476": on_keda("2.17.3", f"{KEDA}GHSA-c4p6-qg4m-9jmr"),
    "cve-2026-77524": on_keda("2.21.0", f"{KEDA}GHSA-637c-6jxx-4rwm"),
}

_REDIS = {
    "exact": redis("redis:7.2.16-bookworm"),
    "digest": redis(f"redis:7.2.16@{DIGEST}"),
    "of another rule": redis("redis:latest"),
    "later": redis("redis:9.0.0"),
    "other server": server(container(name="tally", image="redis:7.2.1")),
    "unknown": redis(UNKNOWN),
}
_POSTGRESQL = {
    "exact": database("postgres:16.15-bookworm"),
    "later": database("postgres:18.6"),
    "unknown": database(UNKNOWN),
}
_FIXED_AIRFLOW = {"fixed": airflow(defaultAirflowTag="3.4.0"), "unknown": airflow()}
_FIXED_FAB = {
    "fixed": airflow(defaultAirflowTag="3.3.2"),
    "unlisted": airflow(defaultAirflowTag="3.9.9"),
}

COMPLIANT = {
    "server-version-exact": {**_REDIS, **_POSTGRESQL},
    "cve-2026-33264": {**_FIXED_AIRFLOW, "fixed here": airflow(defaultAirflowTag="3.3.0")},
    "cve-2026-49487": {**_FIXED_AIRFLOW, "fixed here": airflow(defaultAirflowTag="3.3.0")},
    "cve-2026-58076": {
        **_FIXED_AIRFLOW,
        "fixed here": airflow(defaultAirflowTag="3.3.1"),
        "before": airflow(defaultAirflowTag="2.11.0"),
    },
    "cve-2026-68968": {**_FIXED_AIRFLOW, "fixed here": airflow(defaultAirflowTag="3.3.1")},
    "cve-2026-68982": _FIXED_AIRFLOW,
    "cve-2026-59245": _FIXED_FAB,
    "cve-2026-82310": _FIXED_FAB,
    "cve-2025-49844": {**_REDIS, "valkey": redis("valkey/valkey:8.1.3")},
    "cve-2026-23479": {**_REDIS, "before": redis("redis:7.0.15")},
    "cve-2026-23631": _REDIS,
    "rlsa-2026-25925": {**_REDIS, "fixed": redis("valkey/valkey:8.1.7")},
    "cve-2026-6637": _POSTGRESQL,
    "cve-2026-14669": _POSTGRESQL,
    "cve-2025-68476": {"fixed": keda("2.17.3"), "later": keda("2.20.2")},
    "cve-2026-77524": {"fixed": keda("2.21.0"), "unknown": keda(UNKNOWN)},
}
