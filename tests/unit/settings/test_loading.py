import json
from copy import deepcopy
from typing import get_args

import pulumi
import pytest
from annotated_types import Ge, Le

import settings
from ops.plan.mock_engine import Secret
from settings.dags import DagSettings, GithubAppAuth, SshAuth, TokenAuth
from settings.types import Section
from settings.versions import AIRFLOW_CHART, KEDA_CHART

KEY = "airflow-platform:settings"
LEAST = {
    "cluster": {"kind": "eks", "private_endpoint": True},
    "network": {},
    "database": {"kind": "rds"},
    "dags": {"repo": "https://github.com/example/airflow-dags.git"},
}
LOCAL = {
    "cluster": {"kind": "existing", "context": "kind-airflow"},
    "database": {"kind": "container"},
    "git_server": {},
    "dags": {"repo": "git://git-server:9418/dags.git"},
    "workers": {"scaling": "cpu"},
}
CERTIFICATE = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
INGRESS = {"host": "a.example.com", "certificate_arn": CERTIFICATE, "allowed_cidrs": ["10.0.0.0/8"]}


def changed(base, path, value):
    """A copy of `base` with `value` at the dotted path."""
    given = deepcopy(base)
    inner = given
    *parents, last = path.split(".")
    for key in parents:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return given


@pytest.fixture
def load(deploy, monkeypatch):
    """Read settings from the stack file of prod; a text may be no JSON, which Pulumi notices."""
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")

    def run(given):
        if not isinstance(given, str):
            return settings.parse(json.loads(json.dumps(given)), KEY)
        read = {}
        deploy(lambda: read.update(settings=settings.load()), stack="prod", config={KEY: given})
        return read["settings"]

    return run


@pytest.fixture
def mistakes(load):
    """The lines of the report, without the name of the stack file and the key of the settings."""

    def run(given):
        try:
            load(given)
        except pulumi.RunError as report:
            file, *lines = str(report).splitlines()
            assert file == "Pulumi.prod.yaml:", "a report begins with the file to open"
            assert all(line.startswith(f"  {KEY}.") for line in lines), "a line begins with its key"
            return [line.removeprefix(f"  {KEY}.") for line in lines]
        return []

    return run


def test_the_defaults_are_small_and_cheap(load):
    given = load(LEAST)

    assert (given.network.cidr, given.network.az_count) == ("10.0.0.0/16", 2)
    assert given.network.nat == "single"
    assert (given.database.instance_class, given.database.multi_az) == ("db.t4g.medium", False)
    assert (given.database.storage_gb, given.database.max_storage_gb) == (20, 100)
    assert given.database.backup_days == 7, "a database without backups is nobody's default"
    assert (given.workers.min, given.workers.max, given.workers.concurrency) == (1, 4, 8)
    assert (given.workers.scaling, given.workers.spot) == ("queue", False)
    assert given.workers.grace_seconds == 600
    assert (given.dags.ref, given.dags.sub_path, given.dags.poll_seconds) == ("main", "dags", 5)
    assert given.dags.auth.kind == "none"
    assert (given.airflow.version, given.airflow.image) == ("3.2.2", "apache/airflow")
    assert set(given.airflow.replicas.model_dump().values()) == {1}
    assert given.airflow.url == "http://localhost:8080"
    assert set(given.rotation.model_dump().values()) == {1}
    assert (given.git_server, given.airflow.ingress, given.charts.source) == (None, None, None)
    assert given.logs.retention_days == 30


def test_nothing_is_protected_or_public_unless_the_stack_file_says_so(load):
    given = load(LEAST)

    protected = (given.cluster, given.database, given.redis, given.logs)
    assert [section.protect for section in protected] == [False, False, False, False]
    assert given.cluster.public_access_cidrs == ()
    assert load(changed(LEAST, "airflow.ingress", INGRESS)).airflow.ingress.scheme == "internal"


def test_settings_do_not_change_once_they_are_read(load):
    given = load(LEAST)

    with pytest.raises(ValueError, match="frozen"):
        given.workers.max = 100


@pytest.mark.parametrize(
    ("airflow", "url"),
    [
        ({"ingress": INGRESS}, "https://a.example.com"),
        ({"ingress": INGRESS, "base_url": "https://b.example.com/ui"}, "https://b.example.com/ui"),
    ],
)
def test_the_url_is_the_one_that_users_open(load, airflow, url):
    assert load({**LEAST, "airflow": airflow}).airflow.url == url


@pytest.mark.parametrize(
    ("airflow", "image"),
    [
        ({"version": "3.2.5"}, "apache/airflow:3.2.5"),
        ({"digest": f"sha256:{'a' * 64}"}, f"apache/airflow@sha256:{'a' * 64}"),
    ],
)
def test_a_digest_wins_over_the_tag_of_the_image(load, airflow, image):
    assert load({**LEAST, "airflow": airflow}).airflow.image_reference == image


@pytest.mark.parametrize(
    ("dags", "ref"), [({"branch": "release"}, "release"), ({"tag": "v7"}, "v7")]
)
def test_dags_follow_the_branch_or_stay_on_the_tag(load, dags, ref):
    assert load({**LEAST, "dags": {**LEAST["dags"], **dags}}).dags.ref == ref


def _fields():
    """Every key that a stack file may hold, as `Model.field`."""
    for model in Section.__subclasses__():
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field


def _is_section(kind):
    if isinstance(kind, type):
        return issubclass(kind, Section)
    return any(_is_section(part) for part in get_args(kind))


def test_every_setting_has_a_description():
    named = {name: field for name, field in _fields() if not name.endswith(".kind")}

    silent = [n for n, f in named.items() if not _is_section(f.annotation) and not f.description]
    assert not silent, "the table of settings in the documentation is made of them"
    assert len(named) > 60, "the walk has seen the settings"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        (LEAST, "worker"),
        (LEAST, "workers.maks"),
        (LEAST, "queues.etl.maks"),
        (LEAST, "cluster.private_endpiont"),
        (LEAST, "cluster.context"),
        (LOCAL, "cluster.version"),
        (LEAST, "database.instance_clas"),
        (LOCAL, "database.multi_az"),
        (LEAST, "dags.auth.user"),
        (LEAST, "airflow.replicas.workers"),
        (LEAST, "airflow.ingress.hosts"),
        (LEAST, "rotation.fernet_key"),
    ],
)
def test_a_key_that_no_section_knows_is_refused_by_its_full_name(mistakes, base, path):
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
def test_a_key_that_is_spelled_like_its_kind_is_named_as_it_stands_in_the_file(
    mistakes, path, union
):
    given = changed(LEAST, path.rpartition(".")[0], union)

    assert mistakes(given) == [f"{path}: is not a known setting"]


@pytest.mark.parametrize("section", ["cluster", "database", "dags"])
def test_a_section_without_which_nothing_works_is_required(mistakes, section):
    given = {name: value for name, value in LEAST.items() if name != section}

    assert mistakes(given) == [f"{section}: is required"]


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("dags.repo", {"branch": "main"}),
        ("cluster.context", {"kind": "existing"}),
        (
            "airflow.ingress.allowed_cidrs",
            {"host": "a.example.com", "certificate_arn": CERTIFICATE},
        ),
        ("dags.auth.known_hosts", {"kind": "ssh"}),
    ],
)
def test_a_setting_that_has_no_default_is_required(mistakes, path, section):
    given = changed(LEAST, path.rpartition(".")[0], section)

    assert f"{path}: is required" in mistakes(given)


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("cluster", "'eks', 'existing'"),
        ("database", "'rds', 'container'"),
        ("dags.auth", "'none', 'token', 'ssh', 'github_app'"),
    ],
)
def test_a_kind_is_one_of_those_that_there_are(mistakes, path, kinds):
    assert f"{path}: kind should be one of {kinds}, got 'gke'" in mistakes(
        changed(LEAST, path, {"kind": "gke"})
    )
    assert f"{path}: kind is required" in mistakes(changed(LEAST, path, {}))


@pytest.mark.parametrize("text", ["text", '["a"]', "null", "3", '"text"', '{"cluster":', ""])
def test_settings_that_are_no_map_are_one_clear_mistake(load, text):
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
def test_a_section_that_is_no_map_is_a_mistake_of_that_section(mistakes, section, value):
    (line,) = mistakes(changed(LEAST, section, value))

    assert line.startswith(f"{section}: Input should be a valid dictionary")
    if isinstance(value, str | int | float):
        assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize("section", ["network", "git_server", "airflow.ingress"])
def test_a_section_that_may_be_left_out_may_also_be_left_empty(mistakes, section):
    lines = mistakes(changed(LEAST, section, None))

    assert [line for line in lines if "Input should" in line] == []


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (LEAST, "cluster.version", 1.34),
        (LEAST, "cluster.private_endpoint", "yes"),
        (LEAST, "cluster.protect", 1),
        (LEAST, "cluster.public_access_cidrs", "10.0.0.0/8"),
        (LEAST, "cluster.admin_role_arns.0", 7),
        (LOCAL, "cluster.context", 7),
        (LEAST, "network.cidr", 10),
        (LEAST, "network.az_count", "2"),
        (LEAST, "database.storage_gb", 20.5),
        (LEAST, "database.multi_az", "no"),
        (LEAST, "redis.memory_mb", "256Mi"),
        (LEAST, "dags.branch", 7),
        (LEAST, "dags.tag", 1.5),
        (LEAST, "workers.max", "4"),
        (LEAST, "workers.max", True),
        (LEAST, "queues.etl.max", "4"),
        (LEAST, "workers.cpu", "a lot"),
        (LEAST, "workers.spot", "true"),
        (LEAST, "airflow.version", 3.2),
        (LEAST, "airflow.replicas.scheduler", 1.5),
        (LEAST, "rotation.jwt", "two"),
    ],
)
def test_a_value_of_the_wrong_type_is_shown_beside_its_key(mistakes, base, path, value):
    parent, _, index = path.rpartition(".")
    given = changed(base, parent, [value]) if index == "0" else changed(base, path, value)

    (line,) = mistakes(given)
    assert line.startswith(f"{path}: Input should be a valid ")
    assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, ["hunter2"]])
def test_an_airflow_option_is_a_plain_value(mistakes, value):
    assert mistakes(changed(LEAST, "airflow.config.core.dag_concurrency", value)) == [
        "airflow.config.core.dag_concurrency: should be a text, a number, true or false"
    ]


@pytest.mark.parametrize("path", ["charts.source", "git_server.seed"])
def test_a_path_that_the_file_system_refuses_is_a_mistake_and_no_crash(mistakes, path):
    section = path.partition(".")[0]

    assert any(line.startswith(section) for line in mistakes(changed(LEAST, path, "x" * 300)))


TOKEN = {"kind": "token"}
KEY_FILE = {"kind": "ssh", "known_hosts": "github.com ssh-ed25519 AAAA"}
APP = {"kind": "github_app", "client_id": "Iv23", "installation_id": 42}
BY_APP = {**LEAST, "dags": {**LEAST["dags"], "auth": APP}}


def _bounds(base, section, above=""):
    """`Model.field` of each number with bounds: a base that has it, its key, its `ge` and `le`."""
    for name, field in type(section).model_fields.items():
        value, path = getattr(section, name), f"{above}{name}"
        if isinstance(value, Section):
            yield from _bounds(base, value, f"{path}.")
        least = [m.ge for m in field.metadata if isinstance(m, Ge)]
        most = [m.le for m in field.metadata if isinstance(m, Le)]
        if least or most:
            yield f"{type(section).__name__}.{name}", (base, path, least, most)


BOUNDS = dict(
    bounds for base in (LEAST, LOCAL, BY_APP) for bounds in _bounds(base, settings.parse(base, KEY))
)


def test_the_bounds_of_every_number_are_tested():
    bounded = {n for n, f in _fields() if any(isinstance(m, Ge | Le) for m in f.metadata)}

    untested = sorted(bounded - BOUNDS.keys())
    assert not untested, "add settings that have these fields to the bases of BOUNDS in this file"
    assert len(BOUNDS) > 30, "the walk has seen the sections"


@pytest.mark.parametrize(("base", "path", "least", "most"), BOUNDS.values(), ids=BOUNDS)
def test_a_number_out_of_bounds_is_refused_and_its_bounds_are_not(
    mistakes, base, path, least, most
):
    def lines(value):
        return [
            line
            for line in mistakes(changed(base, path, value))
            if line.startswith(f"{path}: Input should")
        ]

    for bound, beyond, relation in [
        *(
            (bound, bound / 10 if isinstance(bound, float) else bound - 1, "greater")
            for bound in least
        ),
        *((bound, bound + 1, "less") for bound in most),
    ]:
        assert lines(bound) == []
        assert lines(beyond) == [
            f"{path}: Input should be {relation} than or equal to {bound}, got {beyond}"
        ]


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (LEAST, "cluster.version", "1.3"),
        (LEAST, "cluster.version", "2.34"),
        (LOCAL, "cluster.context", ""),
        (LEAST, "network.nat", "none"),
        (LEAST, "network.cidr", "10.0.0.1/16"),
        (LEAST, "network.cidr", "fd00::/48"),
        (LEAST, "database.instance_class", "t3"),
        (LEAST, "database.instance_class", "db.t3.8xlarge"),
        (LEAST, "database.instance_class", "db.t4g.medium\n"),
        (LEAST, "dags.repo", "example/dags"),
        (LEAST, "dags.repo", "http://github.com/example/dags.git"),
        (LEAST, "dags.repo", ""),
        (LEAST, "dags.branch", ""),
        (LEAST, "dags.tag", ""),
        (LEAST, "workers.scaling", "memory"),
        (LEAST, "airflow.version", "3.2"),
        (LEAST, "airflow.version", "latest"),
        (LEAST, "airflow.image", "Apache/Airflow"),
        (LEAST, "airflow.digest", "sha256:abc"),
        (LEAST, "airflow.base_url", "airflow.example.com"),
        (LEAST, "airflow.base_url", "https://airflow.example.com/"),
        (LEAST, "charts.source", "http://charts.example.com"),
    ],
)
def test_a_text_of_another_form_is_shown_beside_its_key(mistakes, base, path, value):
    (line,) = mistakes(changed(base, path, value))

    assert line.startswith(f"{path}: ")
    assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("host", "localhost"),
        ("host", "https://a.example.com"),
        ("certificate_arn", "arn:aws:iam::111122223333:role/x"),
        ("scheme", "public"),
    ],
)
def test_an_ingress_of_another_form_is_shown_beside_its_key(mistakes, path, value):
    (line,) = mistakes(changed(LEAST, "airflow.ingress", {**INGRESS, path: value}))

    assert line.startswith(f"airflow.ingress.{path}: ")
    assert line.endswith(f", got {value!r}")


def test_an_ingress_lets_somebody_in(mistakes):
    (line,) = mistakes(changed(LEAST, "airflow.ingress", {**INGRESS, "allowed_cidrs": []}))

    assert line.startswith("airflow.ingress.allowed_cidrs: ")


def test_an_entry_of_a_list_is_named_by_its_place(mistakes):
    cluster = {
        "kind": "eks",
        "public_access_cidrs": ["10.0.0.0/8", "10.0.0.1/8"],
        "admin_role_arns": ["arn:aws:iam::1:user/x"],
    }
    network, role = mistakes({**LEAST, "cluster": cluster})

    assert network.startswith("cluster.public_access_cidrs.1: should be an IPv4 network")
    assert network.endswith(", got '10.0.0.1/8'")
    assert role.startswith("cluster.admin_role_arns.0: ")
    assert role.endswith(", got 'arn:aws:iam::1:user/x'")


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
def test_a_repository_with_credentials_is_refused_and_they_are_not_repeated(mistakes, url):
    lines = mistakes(changed(LEAST, "dags.repo", url))

    assert any(line.startswith("dags.repo: ") for line in lines), "it would stand in the state"
    assert "hunter2" not in "\n".join(lines), "the report is printed in the logs of CI"


def test_the_report_of_credentials_says_where_they_belong(mistakes):
    assert mistakes(changed(LEAST, "dags.repo", "https://user:hunter2@github.com/dags.git")) == [
        "dags.repo: must not carry credentials; use dags.auth and a secret, "
        "got 'https://***@github.com/dags.git'"
    ]


HTTPS = "https://github.com/example/dags.git"
SSH = "ssh://git@github.com/example/dags.git"
SCP = "git@github.com:example/dags.git"
NEEDS_SSH_AUTH = ["dags: an ssh repository needs auth.kind: ssh"]
NEEDS_SSH_REPOSITORY = ["dags: auth.kind: ssh needs an ssh repository"]


@pytest.mark.parametrize(
    ("repo", "auth", "lines"),
    [
        (HTTPS, {"kind": "none"}, []),
        (HTTPS, TOKEN, []),
        (HTTPS, KEY_FILE, NEEDS_SSH_REPOSITORY),
        (SSH, KEY_FILE, []),
        (SCP, KEY_FILE, []),
        (SSH, {"kind": "none"}, NEEDS_SSH_AUTH),
        (SCP, {"kind": "none"}, NEEDS_SSH_AUTH),
        (SCP, TOKEN, NEEDS_SSH_AUTH),
        ("git://git-server/dags.git", KEY_FILE, NEEDS_SSH_REPOSITORY),
        (
            "git://git-server/dags.git",
            TOKEN,
            [
                "dags: auth.kind: token needs an https:// repository: "
                "git:// would send its token in the clear"
            ],
        ),
        (HTTPS, APP, []),
        (
            "git://git-server/dags.git",
            APP,
            [
                "dags: auth.kind: github_app needs an https:// repository: "
                "git:// would send its token in the clear"
            ],
        ),
    ],
)
def test_a_repository_is_entered_the_way_that_its_url_allows(mistakes, repo, auth, lines):
    assert mistakes({**LEAST, "git_server": {}, "dags": {"repo": repo, "auth": auth}}) == lines


@pytest.mark.parametrize("known_hosts", ["github.com", "", "ssh-ed25519 AAAA"])
def test_the_host_key_of_an_ssh_repository_is_known_beforehand(mistakes, known_hosts):
    auth = {"kind": "ssh", "known_hosts": known_hosts}
    (line,) = mistakes({**LEAST, "dags": {"repo": SCP, "auth": auth}})

    assert line.startswith("dags.auth.known_hosts: ")
    assert line.endswith(f", got {known_hosts!r}")


@pytest.mark.parametrize(
    "refs",
    [
        {"branch": "main", "tag": "v1"},
        {"branch": "main", "commit": "a" * 40},
        {"tag": "v1", "commit": "a" * 40},
    ],
    ids=lambda refs: " and ".join(refs),
)
def test_dags_follow_a_branch_or_stay_on_a_tag_or_a_commit(mistakes, refs):
    dags = {**LEAST["dags"], **refs}

    assert mistakes({**LEAST, "dags": dags}) == ["dags: set one of branch, tag and commit"]


@pytest.mark.parametrize("commit", ["", "abc1234", "A" * 40, "g" * 40])
def test_a_commit_is_named_in_full(mistakes, commit):
    (line,) = mistakes(changed(LEAST, "dags.commit", commit))

    assert line.startswith("dags.commit: ")


def test_the_volume_of_the_relay_has_room_for_two_checkouts_and_their_history(mistakes):
    dags = {**LEAST["dags"], "storage_gb": 1}

    assert mistakes({**LEAST, "dags": {**dags, "max_mb": 256}}) == []
    (line,) = mistakes({**LEAST, "dags": {**dags, "max_mb": 257}})
    assert line == "dags: storage_gb must hold four times max_mb"


@pytest.mark.parametrize(
    "sub_path",
    ["..", "../dags", "/dags", "dags/", "dags//daily", "dags/..", "dags/../..", "a/../../etc"],
)
def test_the_folder_of_the_dags_lies_in_the_repository(mistakes, sub_path):
    lines = mistakes(changed(LEAST, "dags.sub_path", sub_path))

    assert [line.partition(":")[0] for line in lines] == ["dags.sub_path"]
    assert lines[0].endswith(f", got {sub_path!r}")


@pytest.mark.parametrize("sub_path", ["", "dags", "teams/sales/dags", "dags..old", "v1.2/dags"])
def test_the_folder_of_the_dags_may_be_any_below_the_repository(load, sub_path):
    assert load(changed(LEAST, "dags.sub_path", sub_path)).dags.sub_path == sub_path


def test_the_git_server_starts_from_a_folder_with_dags(mistakes, load, tmp_path):
    assert mistakes(changed(LOCAL, "git_server.seed", str(tmp_path))) == [
        f"git_server: seed needs a folder {tmp_path}/dags"
    ]
    (tmp_path / "dags").mkdir()
    assert load(changed(LOCAL, "git_server.seed", str(tmp_path))).git_server.seed == str(tmp_path)


@pytest.mark.parametrize(
    ("cidr", "az_count", "fits"),
    [
        ("10.0.0.0/15", 2, False),
        ("10.0.0.0/16", 3, True),
        ("10.0.0.0/18", 3, True),
        ("10.0.0.0/19", 2, False),
        ("10.0.0.0/24", 2, False),
    ],
)
def test_the_address_range_has_room_for_every_zone(mistakes, cidr, az_count, fits):
    lines = mistakes({**LEAST, "network": {"cidr": cidr, "az_count": az_count}})

    if fits:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"network: cidr {cidr} should be /16 to /18")
        assert f"{az_count} private subnets" in line


CLOSED = (
    "cluster: public_access_cidrs is required unless private_endpoint is true; list your networks, "
    'or write ["0.0.0.0/0"] out to open the endpoint to the Internet'
)


@pytest.mark.parametrize(
    ("endpoint", "lines"),
    [
        ({}, [CLOSED]),
        ({"public_access_cidrs": []}, [CLOSED]),
        ({"private_endpoint": False}, [CLOSED]),
        ({"public_access_cidrs": ["203.0.113.0/24"]}, []),
        ({"public_access_cidrs": ["0.0.0.0/0"]}, []),
        ({"private_endpoint": True}, []),
        (
            {"private_endpoint": True, "public_access_cidrs": ["203.0.113.0/24"]},
            ["cluster: public_access_cidrs needs private_endpoint: false"],
        ),
    ],
)
def test_the_kubernetes_endpoint_is_open_only_to_whom_the_stack_file_lists(
    mistakes, endpoint, lines
):
    assert mistakes({**LEAST, "cluster": {"kind": "eks", **endpoint}}) == lines


@pytest.mark.parametrize(
    ("storage_gb", "max_storage_gb", "grows"),
    [(20, 21, False), (20, 22, True), (100, 109, False), (100, 110, True), (1000, 1099, False)],
)
def test_storage_grows_by_the_tenth_that_rds_demands(mistakes, storage_gb, max_storage_gb, grows):
    size = {"kind": "rds", "storage_gb": storage_gb, "max_storage_gb": max_storage_gb}
    complaint = ["database: max_storage_gb must exceed storage_gb by a tenth"]

    assert mistakes({**LEAST, "database": size}) == ([] if grows else complaint)


@pytest.mark.parametrize(
    ("storage_gb", "memory_mb", "fits"), [(3, 1024, True), (3, 1025, False), (1, 341, True)]
)
def test_the_volume_of_redis_holds_its_log_while_it_is_rewritten(
    mistakes, storage_gb, memory_mb, fits
):
    redis = {"storage_gb": storage_gb, "memory_mb": memory_mb}
    complaint = (
        "redis: storage_gb must hold three times memory_mb: the append-only file and its rewrite"
    )

    assert mistakes({**LEAST, "redis": redis}) == ([] if fits else [complaint])


@pytest.mark.parametrize(
    ("workers", "lines"),
    [
        ({"min": 4, "max": 4}, []),
        ({"min": 5, "max": 4}, ["workers: min 5 must not exceed max 4"]),
        ({"min": 0, "scaling": "queue"}, []),
        (
            {"min": 0, "scaling": "cpu"},
            ["workers: scaling: cpu needs min >= 1; only queue can start from 0"],
        ),
        (
            {"min": 0, "scaling": "fixed"},
            ["workers: scaling: fixed needs min >= 1; only queue can start from 0"],
        ),
        ({"min": 1, "scaling": "cpu"}, []),
    ],
)
def test_the_least_and_the_most_workers_fit_together(mistakes, workers, lines):
    assert mistakes({**LEAST, "workers": workers}) == lines


@pytest.mark.parametrize("version", ["2.10.5", "3.1.9", "3.4.0", "4.2.0"])
def test_an_airflow_that_the_chart_values_do_not_fit_is_refused(mistakes, version):
    (line,) = mistakes(changed(LEAST, "airflow.version", version))

    assert "airflow.version: should be 3.2.x or 3.3.x for this chart" in line


@pytest.mark.parametrize("version", ["3.2.0", "3.2.2", "3.3.11"])
def test_an_airflow_that_the_chart_values_fit_is_welcome(load, version):
    assert load(changed(LEAST, "airflow.version", version)).airflow.version == version


@pytest.mark.parametrize(
    ("option", "home"),
    [
        ("api.base_url", "airflow.base_url"),
        ("celery.worker_concurrency", "workers.concurrency"),
        ("core.executor", "nothing"),
        ("core.parallelism", "airflow.parallelism"),
        ("dag_processor.refresh_interval", "nothing: it is each second; dags.poll_seconds is for"),
        ("dag_processor.dag_bundle_config_list", "dags"),
        ("dag_processor.bundle_refresh_check_interval", "nothing: it is each second"),
        ("logging.remote_base_log_folder", "nothing"),
    ],
)
def test_an_airflow_option_that_a_setting_decides_has_no_second_home(mistakes, option, home):
    (line,) = mistakes(changed(LEAST, f"airflow.config.{option}", 7))

    assert f"config.{option} is decided by {home}" in line


@pytest.mark.parametrize(
    "option",
    [
        "core.fernet_key",
        "datadog.api_key",
        "api.secret_key",
        "api_auth.jwt_secret",
        "database.sql_alchemy_conn",
        "celery.broker_url",
        "celery.result_backend",
        "smtp.smtp_password",
        "github.access_token",
    ],
)
def test_an_airflow_option_that_is_a_secret_stands_in_no_stack_file(mistakes, option):
    (line,) = mistakes(changed(LEAST, f"airflow.config.{option}", "hunter2"))

    assert f"config.{option} looks like a secret, and config is plain text" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("core.max_active_tasks_per_dag", 4),
        ("core.load_examples", False),
        ("core.sensitive_var_conn_names", "a,b"),
        ("scheduler.max_tis_per_query", 1.5),
    ],
)
def test_any_other_airflow_option_can_be_set(load, option, value):
    section, _, name = option.partition(".")

    given = load(changed(LEAST, f"airflow.config.{option}", value))
    assert given.airflow.config == {section: {name: value}}


def test_all_options_that_cannot_be_set_are_listed_together(mistakes):
    options = {"core": {"executor": "x", "parallelism": 1, "fernet_key": "x"}}
    (line,) = mistakes(changed(LEAST, "airflow.config", options))

    assert line.count("config.core.") == 3


def test_charts_come_from_a_directory_that_exists(mistakes, load, tmp_path):
    (tmp_path / AIRFLOW_CHART.archive).touch()
    (tmp_path / KEDA_CHART.archive).touch()
    assert load(changed(LEAST, "charts.source", str(tmp_path))).charts.source == str(tmp_path)

    (line,) = mistakes(changed(LEAST, "charts.source", "nowhere"))
    assert line.startswith("charts.source: should be an https:// or oci:// repository, or a direc")
    assert line.endswith(", got 'nowhere'")


@pytest.mark.parametrize("source", ["https://charts.example.com", "oci://registry.example.com/x"])
def test_charts_come_from_a_repository_as_well(load, source):
    assert load(changed(LEAST, "charts.source", source)).charts.source == source


def test_one_report_holds_every_mistake_of_every_section(mistakes):
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


def test_a_mistake_between_sections_stands_beside_one_inside_another_section(mistakes):
    given = {**LEAST, "network": None, "redis": {"storage_gb": 0}}

    assert mistakes(given) == [
        "redis.storage_gb: Input should be greater than or equal to 1, got 0",
        "network: is required for cluster.kind: eks; write `network: {}` for the defaults",
    ]


def test_a_broken_section_is_not_compared_with_others(mistakes):
    given = {**LEAST, "network": None, "cluster": {"kind": "eks", "version": "one"}}

    assert [line.partition(":")[0] for line in mistakes(given)] == ["cluster.version"], (
        "what the cluster needs is not known yet"
    )


NAMES = [
    "fernet_key",
    "api_secret_key",
    "jwt_secret",
    "admin_password",
    "database_password",
    "redis_password",
    "git_token",
    "git_ssh_key",
    "github_app_key",
    "git_webhook_secret",
]


def test_every_configured_secret_is_secret_even_if_it_was_written_in_plain(deploy):
    def program():
        dags = DagSettings(repo=HTTPS)
        for name, value in vars(settings.load_secrets(dags)).items():
            pulumi.export(name, value)

    exports = deploy(
        program, config={f"airflow-platform:{n}": f"hunter2-{n}" for n in NAMES}
    ).exports

    assert sorted(exports) == sorted(NAMES)
    for name, value in exports.items():
        assert isinstance(value, Secret), f"{name} would be readable in the state"
        assert value.value == f"hunter2-{name}"


@pytest.mark.parametrize(
    ("repo", "auth", "name"),
    [
        (HTTPS, TokenAuth(kind="token"), "git_token"),
        (SCP, SshAuth(**KEY_FILE), "git_ssh_key"),
        (HTTPS, GithubAppAuth(**APP), "github_app_key"),
    ],
)
def test_what_git_asks_for_is_required_by_name(deploy, repo, auth, name):
    dags = DagSettings(repo=repo, auth=auth)

    with pytest.raises(pulumi.RunError, match=f"airflow-platform:{name}"):
        deploy(lambda: settings.load_secrets(dags) and None)
    deploy(
        lambda: settings.load_secrets(dags) and None, config={f"airflow-platform:{name}": "hunter2"}
    )


def test_every_other_secret_may_be_left_out(deploy):
    read = {}
    dags = DagSettings(repo=HTTPS)
    deploy(lambda: read.update(vars(settings.load_secrets(dags))))

    assert read == dict.fromkeys(NAMES)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("airflow.image", "apache/airflow:3.2.2", "airflow.image: should have no tag"),
        ("airflow.base_url", "https://u:pw@a.example.com", "airflow.base_url: must not carry"),
        ("charts.source", "https://u:pw@charts.example.com", "charts.source: must not carry"),
        ("dags.repo", "https://github.com/a/b.git?access_token=x", "dags.repo: must not carry"),
        ("dags.repo", "https://", "dags.repo: String should match"),
        ("workers.cpu", True, "workers.cpu: Input should be a valid number"),
        ("airflow.config.core.FERNET_KEY", "x", "airflow: config.core.FERNET_KEY looks like"),
        ("airflow.config.core.Parallelism", 1, "airflow: config.core.Parallelism is decided by"),
    ],
)
def test_what_would_go_wrong_later_is_refused_now(mistakes, key, value, complaint):
    (line,) = mistakes(changed(LEAST, key, value))

    assert line.startswith(complaint)
    assert "pw" not in line


def test_an_option_may_stand_in_a_section_with_a_secretive_name(load):
    given = load(changed(LEAST, "airflow.config.secrets.backend", "x"))

    assert given.airflow.config == {"secrets": {"backend": "x"}}


QUEUES = {**LEAST, "queues": {"etl": {"max": 6, "memory_mb": 8192, "spot": True}}}


def test_a_queue_has_the_defaults_of_workers_where_it_says_nothing(load):
    given = load(QUEUES)

    expected = {**given.workers.model_dump(), "max": 6, "memory_mb": 8192, "spot": True}
    assert given.queues["etl"].model_dump() == expected
    assert list(given.all_queues) == ["default", "etl"]
    assert given.all_queues["default"] is given.workers


def test_the_namespace_waits_for_the_queue_whose_workers_take_longest(load):
    queues = {"a": {"grace_seconds": 7200}, "b": {"grace_seconds": 30}}

    assert load({**LEAST, "queues": queues}).longest_grace_seconds == 7200
    assert load(LEAST).longest_grace_seconds == 600


@pytest.mark.parametrize(
    "name", ["etl", "e", "high-memory", "gpu2", "kind", "max", "a" * 30, "workers"]
)
def test_a_queue_may_have_any_name_that_kubernetes_takes(load, name):
    assert list(load({**LEAST, "queues": {name: {}}}).queues) == [name]


@pytest.mark.parametrize(
    "name", ["ETL", "high_memory", "a b", "1st", "-a", "a-", "a" * 31, "ä", "", "a.b", "a,b"]
)
def test_a_name_that_kubernetes_does_not_take_is_refused_with_one_that_it_takes(mistakes, name):
    (line,) = mistakes({**LEAST, "queues": {name: {}}})

    assert line.startswith(
        f"queues.{name}: should be a name for Kubernetes: up to 30 small letters"
    )
    assert line.endswith(f"such as etl or high-memory, got {name!r}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("default", "is the queue of the section workers: set it there"),
        ("default-queue", "is the name of the workers of the section workers: take another one"),
    ],
)
def test_no_queue_is_there_twice(mistakes, name, reason):
    assert mistakes({**LEAST, "queues": {name: {}}}) == [f"queues.{name}: {reason}, got {name!r}"]


def test_the_names_of_a_queue_fit_into_the_limits_of_kubernetes_and_of_iam():
    longest = "q" * 30

    assert len(f"airflow-workers-{longest}") <= 63, "a label has the name of the NodePool"
    assert len(f"airflow-worker-{longest}") <= 63, "the name of the headless Service"
    assert len(f"logs-airflow-worker-{longest}-1234567") <= 64, "an IAM role, with Pulumi's suffix"


def test_a_keda_of_somebody_else_is_in_the_namespace_keda_unless_it_says_otherwise(load):
    queue = {**LOCAL, "workers": {"scaling": "queue"}}
    for keda, installs, namespace in (
        ({}, True, "keda"),
        ({"existing": True}, False, "keda"),
        ({"existing": True, "namespace": "keda-system"}, False, "keda-system"),
    ):
        given = load({**queue, "keda": keda})
        assert (given.needs_keda, given.installs_keda) == (True, installs)
        assert given.keda.namespace == namespace
    assert load(LOCAL).installs_keda is False, "no queue needs it"


def test_a_namespace_of_a_keda_that_is_not_there_is_refused(mistakes):
    for keda in ({"namespace": "keda"}, {"existing": False, "namespace": "keda"}):
        assert mistakes({**LOCAL, "keda": keda}) == [
            "keda: namespace keda needs existing: true; a KEDA of the stack's own is in keda"
        ]
    (line,) = mistakes({**LOCAL, "keda": {"existing": True, "namespace": "Keda"}})
    assert line.startswith("keda.namespace: ")


def test_every_mistake_of_every_queue_is_told_at_once(mistakes):
    queues = {
        "a": {"min": 5, "max": 2, "memory_mb": 1000},
        "b": {"concurrency": 0},
        "C": {},
        "d": {"architecture": "riscv", "iam_policy_arn": "AdministratorAccess"},
    }

    lines = mistakes({**LEAST, "queues": queues, "workers": {"concurrency": 64}})

    assert lines[:3] == [
        "workers: memory_mb 3072 is too little for concurrency 64: that needs 4736, and the data of the "
        "tasks on top; raise it, or lower concurrency",
        "queues.a: min 5 must not exceed max 2; memory_mb 1000 is too little for concurrency 8: that needs "
        "1152, and the data of the tasks on top; raise it, or lower concurrency",
        "queues.b.concurrency: Input should be greater than or equal to 1, got 0",
    ]
    assert [line.partition(":")[0] for line in lines[3:]] == [
        *("queues.C", "queues.d.architecture", "queues.d.iam_policy_arn"),
    ]


def test_memory_may_be_exactly_what_the_tasks_need(mistakes):
    enough = {"concurrency": 8, "memory_mb": 1152}

    assert mistakes({**LEAST, "queues": {"etl": enough}}) == []
    assert mistakes({**LEAST, "queues": {"etl": enough | {"memory_mb": 1151}}}) != []


def test_the_connections_of_all_queues_are_added_up(mistakes):
    queues = {name: {"max": 10} for name in ("a", "b", "c")}

    assert mistakes({**LEAST, "queues": queues}) == []
    (line,) = mistakes({**LEAST, "queues": {**queues, "d": {"max": 10}}})
    assert line.startswith("database: has room for 405 connections")
    assert (
        "lower workers.max or queues.a.max or queues.b.max or queues.c.max or queues.d.max" in line
    )


@pytest.mark.parametrize(
    ("airflow", "built"),
    [
        ({}, ("amd64", "arm64")),
        ({"image": "registry.example/airflow"}, ("amd64",)),
        ({"architectures": ["amd64"]}, ("amd64",)),
        ({"image": "r.example/a", "architectures": ["amd64", "arm64"]}, ("amd64", "arm64")),
    ],
)
def test_an_image_is_for_amd64_unless_it_is_known_to_be_for_more(load, airflow, built):
    assert load({**LEAST, "airflow": airflow}).airflow.image_architectures == built


def test_a_spot_node_that_goes_before_its_tasks_are_done_is_a_warning_of_the_program(deploy):
    given = {**LEAST, "queues": {"etl": {"spot": True}}}

    declaration = deploy(settings.load, stack="prod", config={KEY: json.dumps(given)})

    (warning,) = declaration.warnings
    assert warning.startswith(f"Pulumi.prod.yaml: {KEY}.queues.etl.spot: a spot node goes 120 s")
