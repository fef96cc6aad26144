import re
import subprocess

import pulumi
import pytest

from components.kubernetes.git_server import GitServer, GitServerArgs, seed_files
from ops.stack_files import ROOT
from settings.git_server import GitServerSettings

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SERVER = "kubernetes:apps/v1:StatefulSet"


@pytest.fixture
def seed(tmp_path):
    """A checkout as an author has it, with what the tools of its author left there."""
    for path in (
        "dags/a.py",
        "dags/.airflowignore",
        ".gitignore",
        "README.md",
        ".git/config",
        ".venv/lib/x.py",
        "dags/__pycache__/a.pyc",
        "dags/.ruff_cache/0.1",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"text of {path}")
    return tmp_path


@pytest.fixture
def server(deploy, seed):
    args = GitServerArgs(
        namespace="airflow",
        image="apache/airflow:3.2.2",
        branch="trunk",
        settings=GitServerSettings(seed=str(seed), storage_gb=4),
    )
    return deploy(lambda: GitServer("git", args))


def pod(declaration):
    return declaration.one(SERVER).inputs["spec"]["template"]["spec"]


def container(declaration):
    (only,) = pod(declaration)["containers"]
    return only


def mounted(declaration, path):
    """Files by path below a mount, as the kubelet would put them there."""
    (mount,) = [m for m in container(declaration)["volumeMounts"] if m["mountPath"] == path]
    (volume,) = [v for v in pod(declaration)["volumes"] if v["name"] == mount["name"]]
    found = declaration.one(CONFIG_MAP)
    assert volume["configMap"]["name"] == found.inputs["metadata"]["name"]
    return {i["path"]: found.inputs["data"][i["key"]] for i in volume["configMap"]["items"]}


def test_the_seed_is_what_an_author_wrote_and_not_what_tools_left(seed):
    assert list(seed_files(seed)) == [".gitignore", "README.md", "dags/.airflowignore", "dags/a.py"]


def test_passwords_and_logs_of_a_local_airflow_do_not_get_into_the_cluster(seed):
    before = list(seed_files(seed))
    (seed / ".env").write_text("ADMIN_PASSWORD=secret")
    (seed / "logs" / "dag_id=a").mkdir(parents=True)
    (seed / "logs" / "dag_id=a" / "attempt=1.log").write_text("log")

    assert list(seed_files(seed)) == before


def test_the_first_commit_has_every_file_at_its_path(server, seed):
    assert mounted(server, "/seed") == seed_files(seed)
    assert mounted(server, "/seed")["dags/a.py"] == "text of dags/a.py"


def test_the_pod_runs_the_script_that_lies_beside_the_component(server):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").read_text()

    assert container(server)["command"] == ["sh", "/serve/serve"]
    assert mounted(server, "/serve") == {"serve": script}


def test_kubernetes_accepts_the_seed(server):
    assert all(
        re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in server.one(CONFIG_MAP).inputs["data"]
    )


def test_the_committed_example_is_a_seed():
    assert "dags/.airflowignore" in seed_files(ROOT / "dags-repo-example")


def test_a_seed_that_a_config_map_cannot_hold_is_refused_with_the_sizes(tmp_path):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").stat().st_size
    room = 1024 * 1024 - script  # Kubernetes counts the script too
    most, more = tmp_path / "dags" / "most.py", tmp_path / "dags" / "more.py"
    most.parent.mkdir()
    most.write_text("\u00e9" * (room // 2) + "x" * (room % 2))
    assert list(seed_files(tmp_path)) == ["dags/most.py"]

    more.write_text("x")
    with pytest.raises(pulumi.RunError) as refused:
        seed_files(tmp_path)

    assert str(refused.value) == (
        f"{tmp_path}: its text files have {room + 1} bytes, and git_server.seed takes {room}, what fits "
        "into a ConfigMap; start with less of it, and push the rest"
    )


def test_a_seed_that_is_not_text_is_refused_with_its_file(tmp_path):
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")

    with pytest.raises(pulumi.RunError, match=f"{tmp_path}/logo.png: is not text.*push it instead"):
        seed_files(tmp_path)


def test_the_repository_has_the_branch_that_airflow_follows(server):
    assert container(server)["env"] == [{"name": "BRANCH", "value": "trunk"}]


def test_the_image_that_is_there_already_serves_git_as_its_own_user(server):
    security = pod(server)["securityContext"]

    assert container(server)["image"] == "apache/airflow:3.2.2"
    assert (security["runAsUser"], security["fsGroup"]) == (50000, 50000)
    assert container(server)["resources"]["limits"]["memory"] == "256Mi"


def test_the_repository_is_on_the_volume(server):
    claim = server.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]

    assert claim["resources"]["requests"]["storage"] == "4Gi"
    assert {"name": "data", "mountPath": "/git"} in container(server)["volumeMounts"]


def test_only_the_relay_reads_it_over_the_network(server):
    (rule,) = server.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]["ingress"]

    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "dag-relay"}}}
    ]
    assert rule["ports"] == [{"port": 9418, "protocol": "TCP"}]


def test_it_is_ready_when_somebody_can_clone(server):
    assert container(server)["readinessProbe"]["exec"]["command"] == [
        "git",
        "ls-remote",
        "--exit-code",
        "git://127.0.0.1/dags.git",
    ]


@pytest.mark.parametrize(
    ("service", "address", "allowed"),
    [
        ("upload-pack", "10.0.0.9", True),
        ("receive-pack", "10.0.0.9", False),
        ("receive-pack", "127.0.0.1", True),
        ("receive-pack", "[::1]", True),
    ],
)
def test_everybody_may_read_and_only_the_inside_of_the_pod_may_write(service, address, allowed):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").read_text()
    assert "--access-hook=/git/access" in script

    hook = script.partition("cat > /git/access <<'HOOK'\n")[2].partition("\nHOOK\n")[0]
    asked = subprocess.run(  # noqa: S603 - the hook is ours
        ["/bin/sh", "-c", hook, "access", service],
        env={"REMOTE_ADDR": address},
        capture_output=True,
        check=False,
    )
    assert (asked.returncode == 0) is allowed
