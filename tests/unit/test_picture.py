import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.picture import drawing, from_plan
from plan import engine

ROOT = Path(__file__).parents[2]
SETTINGS = "airflow-platform:settings"
SVG = "{http://www.w3.org/2000/svg}"
SSH = {"kind": "ssh", "known_hosts": "git.example ssh-ed25519 AAAA"}
# Other settings than those of prod, and what the picture then shows instead.
OTHER = {
    "workers.max": 12,
    "workers.concurrency": 4,
    "workers.cpu": 0.5,
    "workers.memory_mb": 1024,
    "workers.spot": True,
    "airflow.ingress.host": "flow.example.org",
    "airflow.ingress.allowed_cidrs": ["192.0.2.0/24", "10.0.0.0/8"],
    "airflow.replicas.scheduler": 1,
    "airflow.replicas.api_server": 3,
    "airflow.replicas.dag_processor": 1,
    "airflow.replicas.triggerer": 4,
    "airflow.version": "3.2.1",
    "dags.repo": "https://git.example/team/flows.git",
    "dags.branch": "next",
    "dags.sub_path": "",
    "dags.poll_seconds": 30,
    "network.cidr": "10.9.0.0/16",
    "network.az_count": 2,
    "network.nat": "single",
    "cluster.version": "1.34",
    "cluster.private_endpoint": False,
    "cluster.public_access_cidrs": ["192.0.2.0/24"],
    "database.instance_class": "db.r7g.large",
    "database.storage_gb": 50,
    "database.max_storage_gb": 200,
    "database.backup_days": 30,
    "database.multi_az": False,
    "redis.storage_gb": 40,
    "logs.retention_days": 90,
}
CHANGES = {
    "other": OTHER,
    "by cpu": {"workers.scaling": "cpu"},
    "fixed": {"workers.scaling": "fixed"},
    "more queues": {"queues": {"etl": {}, "ml": {"scaling": "cpu"}}},
    "no ingress": {"airflow.ingress": None},
    "on the internet": {"airflow.ingress.scheme": "internet-facing"},
    "tag over ssh": {
        "dags.repo": "git@git.example:team/flows.git",
        "dags.auth": SSH,
        "dags.branch": None,
        "dags.tag": "v7",
    },
}


def changed(entries, changes):
    """The configuration of a stack with some settings changed, by dotted key; None takes one away."""
    config = {key: text for key, text, _ in entries}
    given = json.loads(config[SETTINGS])
    for path, value in changes.items():
        *above, last = path.split(".")
        section = given
        for key in above:
            section = section[key]
        section[last] = value
        if value is None:
            del section[last]
    config |= {SETTINGS: json.dumps(given), "airflow-platform:git_ssh_key": "key"}
    config["aws:region"] = "us-east-2"
    return [(key, text, key.endswith("ssh_key")) for key, text in config.items()]


@pytest.fixture(scope="module")
def pictures():
    """The picture of prod, and that of prod with each of `CHANGES`."""
    entries = list(engine.read_stack("prod"))
    made = {"prod": drawing.draw(from_plan.facts("prod"))}
    with pytest.MonkeyPatch.context() as patch:
        for name, changes in CHANGES.items():
            config = changed(entries, changes)
            patch.setattr(engine, "read_stack", lambda stack, config=config: config)
            made[name] = drawing.draw(from_plan.facts("prod"))
    return made


def words(picture):
    return [line.text for line in ElementTree.fromstring(picture).iter(SVG + "text")]  # noqa: S314


@pytest.mark.parametrize(
    ("change", "gone", "shown"),
    [
        ("other", "2 to 20 workers", "2 to 12 workers"),
        ("other", "8 tasks, 2 CPU, 6 GiB each", "4 tasks, 0.5 CPU, 1 GiB each"),
        ("other", "own nodes, on-demand", "own nodes, spot or on-demand"),
        ("other", "10.0.0.0/8", "192.0.2.0/24 and 1 more"),
        (
            "other",
            "admits 10.0.0.0/8 to airflow.example.com",
            "admits 192.0.2.0/24 and 1 more to flow.example.org",
        ),
        ("other", "2 schedulers", "1 scheduler"),
        ("other", "2 API servers", "3 API servers"),
        ("other", "2 DAG processors", "1 DAG processor"),
        ("other", "2 triggerers", "4 triggerers"),
        ("other", "namespace airflow: Airflow 3.2.2", "namespace airflow: Airflow 3.2.1"),
        ("other", "Git: github.com", "Git: git.example"),
        ("other", "example/airflow-dags", "team/flows"),
        ("other", "branch release, folder dags", "branch next, folder /"),
        ("other", "DAGs, by a relay, every 5 s", "DAGs, by a relay, every 30 s"),
        ("other", "AWS eu-west-1", "AWS us-east-2"),
        ("other", "VPC 10.2.0.0/16", "VPC 10.9.0.0/16"),
        ("other", "public 10.2.1.0/24", "public 10.9.1.0/24"),
        ("other", "private 10.2.32.0/20", "private 10.9.32.0/20"),
        ("other", "EKS Auto Mode, Kubernetes 1.35", "EKS Auto Mode, Kubernetes 1.34"),
        ("other", "private endpoint", "endpoint for 192.0.2.0/24"),
        ("other", "RDS PostgreSQL 16, db.m7g.large", "RDS PostgreSQL 16, db.r7g.large"),
        (
            "other",
            "100 GiB, grows to 500 GiB; backups of 14 days",
            "50 GiB, grows to 200 GiB; backups of 30 days",
        ),
        ("other", "volume 10Gi", "volume 40Gi"),
        ("other", "365 days", "90 days"),
        ("by cpu", "KEDA", "2 to 20 workers, by CPU"),
        ("fixed", "number of workers", "20 workers"),
        ("more queues", "own nodes, on-demand", "own nodes; 2 more queues"),
        ("no ingress", "Load balancer, internal", "kubectl port-forward"),
        ("on the internet", "Load balancer, internal", "Load balancer, internet-facing"),
        ("tag over ssh", "example/airflow-dags", "team/flows"),
        ("tag over ssh", "branch release, folder dags", "tag v7, folder dags"),
    ],
)
def test_the_picture_follows_the_settings(pictures, change, gone, shown):
    before, after = words(pictures["prod"]), words(pictures[change])
    assert gone in before
    assert shown not in before
    assert gone not in after
    assert shown in after


@pytest.mark.parametrize(
    ("thing", "in_prod", "in_other"),
    [("availability zone 3", 1, 0), ("NAT gateway", 3, 1), ("Multi-AZ", 1, 0)],
)
def test_the_picture_has_as_many_of_a_thing_as_the_stack_declares(
    pictures, thing, in_prod, in_other
):
    counts = [words(pictures[name]).count(thing) for name in ("prod", "other")]
    assert counts == [in_prod, in_other]


def test_the_picture_promises_tls_only_if_the_database_insists_on_it():
    facts = from_plan.facts("prod")
    open_database = replace(facts, database=replace(facts.database, tls_only=False))

    assert "SQL over TLS, from every pod of Airflow" in words(drawing.draw(facts))
    assert "SQL, from every pod of Airflow" in words(drawing.draw(open_database))


def test_who_does_not_see_the_picture_can_read_it(pictures):
    picture = ElementTree.fromstring(pictures["prod"])  # noqa: S314 - it is ours
    title, description = (picture.find(SVG + name) for name in ("title", "desc"))

    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "Airflow on EKS: the stack prod"
    assert "2 to 20 workers" in description.text
    assert "load balancer" in description.text
    assert "Workers of their own have etl, ml." in pictures["more queues"]
    assert "Workers of their own" not in description.text
    assert "load balancer" not in pictures["no ingress"]


def test_the_picture_admits_that_it_has_no_place_for_a_git_server_in_the_cluster(monkeypatch):
    config = changed(engine.read_stack("prod"), {"git_server": {}})
    monkeypatch.setattr(engine, "read_stack", lambda stack: config)
    with pytest.raises(ValueError, match="no place for a Git server"):
        from_plan.facts("prod")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_picture_is_the_same_in_every_process(seed):
    code = "from docs import generate; print(generate.picture(), end='')"
    made = subprocess.run(  # noqa: S603 - the interpreter of the tests
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (ROOT / "docs/architecture.svg").read_text()
