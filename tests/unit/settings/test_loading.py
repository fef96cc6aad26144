import pulumi
import pytest

from ops.docs.settings_schema import settings_schema
from tests.unit.settings.stacks import EKS, INGRESS, KEY, LOCAL, changed


def walk(schema, models, base=EKS, path=""):
    """Every setting of the JSON Schema: path, schema, and settings whose variant has that path."""
    for name, field in schema["properties"].items():
        here = f"{path}{name}"
        options = [field, *field.get("oneOf", ()), *field.get("anyOf", ())]
        refs = [option["$ref"] for option in options if "$ref" in option]
        for ref in refs:
            model = models[ref.rpartition("/")[2]]
            variant = model["properties"].get("kind")
            inner = changed(base, here, {"kind": variant["const"]}) if variant else base
            yield from walk(model, models, inner, f"{here}.")
        if not refs:
            bounded = [option for option in options if "minimum" in option]
            yield here, field | (bounded or [field])[0], base


SCHEMA = settings_schema()
SETTINGS = list(walk(SCHEMA, SCHEMA["$defs"]))
NUMBERS = [(path, field, base) for path, field, base in SETTINGS if "minimum" in field]


def test_the_walk_sees_every_setting():
    assert (len(SETTINGS) > 80, len(NUMBERS) > 30) == (True, True)


@pytest.mark.parametrize(
    ("path", "field", "base"), NUMBERS, ids=[f"{p}-{f['minimum']}" for p, f, _ in NUMBERS]
)
def test_a_number_is_accepted_exactly_within_its_bounds(mistakes, path, field, base):
    def lines(value):
        found = mistakes(changed(base, path, value))
        return [line for line in found if line.startswith(f"{path}: Input should")]

    low, high = field["minimum"], field.get("maximum")
    below = low - 1 if field["type"] == "integer" else low / 10
    assert lines(low) == []
    assert lines(below) == [f"{path}: Input should be greater than or equal to {low}, got {below}"]
    if high is not None:
        assert lines(high) == []
        assert lines(high + 1) == [
            f"{path}: Input should be less than or equal to {high}, got {high + 1}"
        ]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        (EKS, "worker"),
        (EKS, "workers.maks"),
        (EKS, "queues.etl.maks"),
        (EKS, "cluster.private_endpiont"),
        (EKS, "cluster.context"),
        (LOCAL, "cluster.version"),
        (EKS, "database.instance_clas"),
        (LOCAL, "database.multi_az"),
        (EKS, "dags.auth.user"),
        (EKS, "airflow.replicas.workers"),
        (EKS, "airflow.ingress.hosts"),
        (EKS, "rotation.fernet_key"),
    ],
)
def test_an_unknown_key_is_reported_with_its_full_name(mistakes, base, path):
    base = changed(changed(base, "dags.auth", {"kind": "none"}), "airflow.ingress", INGRESS)

    assert f"{path}: is not a known setting" in mistakes(changed(base, path, "anything"))


@pytest.mark.parametrize(
    ("path", "union"),
    [
        ("dags.auth.token", {"kind": "token", "token": "hunter2"}),
        ("cluster.eks", {"kind": "eks", "private_endpoint": True, "eks": {"version": "1.34"}}),
        ("database.rds", {"kind": "rds", "rds": {"multi_az": True}}),
    ],
)
def test_an_unknown_key_named_like_its_kind_is_reported(mistakes, path, union):
    given = changed(EKS, path.rpartition(".")[0], union)

    assert mistakes(given) == [f"{path}: is not a known setting"]


@pytest.mark.parametrize("section", ["cluster", "database", "dags"])
def test_a_section_without_a_default_is_required(mistakes, section):
    given = {name: value for name, value in EKS.items() if name != section}

    assert mistakes(given) == [f"{section}: is required"]


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("dags.repo", {"branch": "main"}),
        ("cluster.context", {"kind": "existing"}),
        (
            "airflow.ingress.allowed_cidrs",
            {key: value for key, value in INGRESS.items() if key != "allowed_cidrs"},
        ),
        ("dags.auth.known_hosts", {"kind": "ssh"}),
    ],
)
def test_a_setting_without_a_default_is_required(mistakes, path, section):
    assert f"{path}: is required" in mistakes(changed(EKS, path.rpartition(".")[0], section))


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("cluster", "'eks', 'existing'"),
        ("database", "'rds', 'container', 'existing'"),
        ("dags.auth", "'none', 'token', 'ssh', 'github_app'"),
    ],
)
def test_an_unknown_kind_is_reported_with_the_valid_kinds(mistakes, path, kinds):
    unknown = mistakes(changed(EKS, path, {"kind": "gke"}))

    assert f"{path}: kind should be one of {kinds}, got 'gke'" in unknown
    assert f"{path}: kind is required" in mistakes(changed(EKS, path, {}))


@pytest.mark.parametrize("text", ["text", '["a"]', "null", "3", '"text"', '{"cluster":', ""])
def test_settings_that_are_not_a_map_are_reported(load, text):
    with pytest.raises(pulumi.RunError, match=KEY):
        load(text)


@pytest.mark.parametrize("value", [None, "text", 3, 3.5, True, ["a"], [[1, [2]]], [{"a": {}}]])
@pytest.mark.parametrize(
    "section",
    [
        "cluster",
        "database",
        "redis",
        "dags",
        "dags.auth",
        "workers",
        "queues",
        "queues.etl",
        "airflow",
        "airflow.replicas",
        "airflow.config",
        "logs",
        "charts",
        "rotation",
    ],
)
def test_a_section_that_is_not_a_map_is_one_mistake(mistakes, section, value):
    (line,) = mistakes(changed(EKS, section, value))

    assert line.startswith(f"{section}: Input should be a valid dictionary")
    if isinstance(value, str | int | float):
        assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize("section", ["network", "git_server", "airflow.ingress"])
def test_an_optional_section_may_be_empty(mistakes, section):
    lines = mistakes(changed(EKS, section, None))

    assert [line for line in lines if "Input should" in line] == []


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (EKS, "cluster.version", 1.34),
        (EKS, "cluster.private_endpoint", "yes"),
        (EKS, "cluster.protect", 1),
        (EKS, "cluster.public_access_cidrs", "10.0.0.0/8"),
        (EKS, "cluster.admin_role_arns.0", 7),
        (LOCAL, "cluster.context", 7),
        (EKS, "network.cidr", 10),
        (EKS, "network.az_count", "2"),
        (EKS, "database.storage_gb", 20.5),
        (EKS, "database.multi_az", "no"),
        (EKS, "redis.memory_mb", "256Mi"),
        (EKS, "dags.branch", 7),
        (EKS, "dags.tag", 1.5),
        (EKS, "workers.max", "4"),
        (EKS, "workers.max", True),
        (EKS, "queues.etl.max", "4"),
        (EKS, "workers.cpu", "a lot"),
        (EKS, "workers.cpu", True),
        (EKS, "workers.spot", "true"),
        (EKS, "airflow.version", 3.2),
        (EKS, "airflow.replicas.scheduler", 1.5),
        (EKS, "rotation.jwt", "two"),
    ],
)
def test_a_value_of_the_wrong_type_is_reported(mistakes, base, path, value):
    parent, _, index = path.rpartition(".")
    given = changed(base, parent, [value]) if index == "0" else changed(base, path, value)

    (line,) = mistakes(given)
    assert line.startswith(f"{path}: Input should be a valid ")
    assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (EKS, "cluster.version", "1.3"),
        (EKS, "cluster.version", "2.34"),
        (LOCAL, "cluster.context", ""),
        (EKS, "network.nat", "none"),
        (EKS, "network.cidr", "10.0.0.1/16"),
        (EKS, "network.cidr", "fd00::/48"),
        (EKS, "database.instance_class", "t3"),
        (EKS, "database.instance_class", "db.t3.8xlarge"),
        (EKS, "database.instance_class", "db.t4g.medium\n"),
        (EKS, "dags.repo", "example/dags"),
        (EKS, "dags.repo", "http://github.com/example/dags.git"),
        (EKS, "dags.repo", ""),
        (EKS, "dags.repo", "https://"),
        (EKS, "dags.branch", ""),
        (EKS, "dags.tag", ""),
        (EKS, "workers.scaling", "memory"),
        (EKS, "airflow.version", "3.2"),
        (EKS, "airflow.version", "latest"),
        (EKS, "airflow.image", "Apache/Airflow"),
        (EKS, "airflow.digest", "sha256:abc"),
        (EKS, "airflow.base_url", "airflow.example.com"),
        (EKS, "airflow.base_url", "https://airflow.example.com/"),
        (EKS, "charts.source", "http://charts.example.com"),
    ],
)
def test_an_invalid_value_is_reported_with_its_key(mistakes, base, path, value):
    (line,) = mistakes(changed(base, path, value))

    assert line.startswith(f"{path}: ")
    assert line.endswith(f", got {value!r}")


def test_an_invalid_list_item_is_reported_with_its_index(mistakes):
    cluster = {
        "kind": "eks",
        "public_access_cidrs": ["10.0.0.0/8", "10.0.0.1/8"],
        "admin_role_arns": ["arn:aws:iam::1:user/x"],
    }
    network, role = mistakes({**EKS, "cluster": cluster})

    assert network.startswith("cluster.public_access_cidrs.1: should be an IPv4 network")
    assert network.endswith(", got '10.0.0.1/8'")
    assert role.startswith("cluster.admin_role_arns.0: ")
    assert role.endswith(", got 'arn:aws:iam::1:user/x'")


@pytest.mark.parametrize("path", ["charts.source", "git_server.seed"])
def test_a_path_that_the_file_system_refuses_is_a_mistake(mistakes, path):
    section = path.partition(".")[0]

    lines = mistakes(changed(EKS, path, "x" * 300))
    assert any(line.startswith(section) for line in lines), "a traceback would name no key"


def test_one_report_lists_the_mistakes_of_every_section(mistakes):
    given = {
        "cluster": {"kind": "gke"},
        "network": {"az_count": 9},
        "database": {"kind": "rds", "backup_days": 0, "protect": "yes"},
        "dags": {},
        "redis": {"storage_gb": 1, "memory_mb": 1024},
        "workers": {"min": 9, "maks": 3},
        "airflow": {"version": "3"},
        "logz": {},
    }

    assert [line.partition(":")[0] for line in mistakes(given)] == [
        "cluster",
        "network.az_count",
        "database.backup_days",
        "database.protect",
        "redis",
        "dags.repo",
        "workers.maks",
        "airflow.version",
        "logz",
    ]


def test_one_report_lists_the_mistakes_of_every_queue(mistakes):
    queues = {
        "a": {"min": 5, "max": 2, "memory_mb": 1000},
        "b": {"concurrency": 0},
        "C": {},
        "d": {"architecture": "riscv", "iam_policy_arn": "AdministratorAccess"},
    }

    lines = mistakes({**EKS, "queues": queues, "workers": {"concurrency": 64}})

    assert lines[:3] == [
        "workers: memory_mb 3072 is too low for concurrency 64: a worker needs at least 4736, plus the "
        "data of its tasks; raise memory_mb, or lower concurrency",
        "queues.a: min 5 must not exceed max 2; memory_mb 1000 is too low for concurrency 8: a "
        "worker needs at least 1152, plus the data of its tasks; raise memory_mb, or lower concurrency",
        "queues.b.concurrency: Input should be greater than or equal to 1, got 0",
    ]
    assert [line.partition(":")[0] for line in lines[3:]] == [
        "queues.C",
        "queues.d.architecture",
        "queues.d.iam_policy_arn",
    ]


def test_cross_checks_run_beside_an_invalid_section(mistakes):
    given = {**EKS, "network": None, "redis": {"storage_gb": 0}}

    assert mistakes(given) == [
        "redis.storage_gb: Input should be greater than or equal to 1, got 0",
        "network: is required for cluster.kind: eks; write `network: {}` for the defaults",
    ]


def test_an_invalid_section_is_not_cross_checked(mistakes):
    given = {**EKS, "network": None, "cluster": {"kind": "eks", "version": "one"}}

    assert [line.partition(":")[0] for line in mistakes(given)] == ["cluster.version"], (
        "whether the cluster needs a network is not known yet"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@github.com/example/dags.git",
        "https://git:hunter2@github.com/example/dags.git",
        "https://:hunter2@github.com/example/dags.git",
        "https://hunter2@github.com/example/dags.git",
        "https://user%3Ahunter2@github.com/example/dags.git",
        "https://user:hunter2\n@github.com/example/dags.git",
        "https://user:x@hunter2@github.com/example/dags.git",
        "https://user:hunter2/x@github.com/example/dags.git",
        "ssh://git:hunter2@github.com/example/dags.git",
        "git://user:hunter2@git-server/dags.git",
        "http://user:hunter2@github.com/example/dags.git",
        "http://user:hunter2/x@github.com/example/dags.git",
        "HTTPS://user:hunter2@github.com/example/dags.git",
        "https//user:hunter2@github.com/example/dags.git",
        "user:hunter2@github.com/example/dags.git",
    ],
)
def test_credentials_in_a_url_are_refused_and_redacted(mistakes, url):
    lines = mistakes(changed(EKS, "dags.repo", url))

    assert any(line.startswith("dags.repo: ") for line in lines), "the state would contain them"
    assert "hunter2" not in "\n".join(lines), "CI logs print the report"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("airflow.base_url", "https://u:pw@a.example.com"),
        ("charts.source", "https://u:pw@charts.example.com"),
        ("dags.repo", "https://github.com/a/b.git?access_token=pw"),
    ],
)
def test_every_url_is_checked_for_credentials(mistakes, path, url):
    (line,) = mistakes(changed(EKS, path, url))

    assert line.startswith(f"{path}: must not contain credentials")


def test_the_report_names_the_setting_for_credentials(mistakes):
    assert mistakes(changed(EKS, "dags.repo", "https://user:hunter2@github.com/dags.git")) == [
        "dags.repo: must not contain credentials; use dags.auth and a secret, "
        "got 'https://***@github.com/dags.git'"
    ]
