import re
import subprocess

import pulumi
import pytest

from components.kubernetes.git_server import GitServer, GitServerArgs, seed_files
from ops.stack_files import ROOT
from settings.git_server import GitServerSettings
from tests.unit.components.pods import container, mounted, template

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@pytest.fixture
def seed(tmp_path):
    """An author's checkout, with generated files."""
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
        image="apache/airflow:3.3.2",
        branch="trunk",
        settings=GitServerSettings(seed=str(seed), storage_gb=4),
    )
    return deploy(lambda: GitServer("git", args))


def mounted_files(snapshot, path):
    """Files by path below a mount, as the kubelet creates them."""
    volume = mounted(snapshot)[path]
    found = snapshot.one(CONFIG_MAP)
    assert volume["configMap"]["name"] == found.inputs["metadata"]["name"]
    return {i["path"]: found.inputs["data"][i["key"]] for i in volume["configMap"]["items"]}


def test_the_seed_excludes_generated_files(seed):
    assert list(seed_files(seed)) == [".gitignore", "README.md", "dags/.airflowignore", "dags/a.py"]


def test_the_seed_excludes_local_secrets_and_logs(seed):
    before = list(seed_files(seed))
    (seed / ".env").write_text("ADMIN_PASSWORD=secret")
    (seed / "logs" / "dag_id=a").mkdir(parents=True)
    (seed / "logs" / "dag_id=a" / "attempt=1.log").write_text("log")

    assert list(seed_files(seed)) == before


def test_every_seed_file_is_mounted_at_its_path(server, seed):
    assert mounted_files(server, "/seed") == seed_files(seed)
    assert mounted_files(server, "/seed")["dags/a.py"] == "text of dags/a.py"


def test_the_pod_runs_the_committed_script(server):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").read_text()

    assert container(server)["command"] == ["sh", "/serve/serve"]
    assert mounted_files(server, "/serve") == {"serve": script}


def test_the_seed_fits_into_a_config_map(server):
    assert all(
        re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in server.one(CONFIG_MAP).inputs["data"]
    )


def test_the_example_repository_is_a_valid_seed():
    assert "dags/.airflowignore" in seed_files(ROOT / "dags-repo-example")


def test_a_seed_that_is_too_large_is_refused(tmp_path):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").stat().st_size
    room = 1024 * 1024 - script  # the script counts too
    largest, extra = tmp_path / "dags" / "largest.py", tmp_path / "dags" / "extra.py"
    largest.parent.mkdir()
    largest.write_text("\u00e9" * (room // 2) + "x" * (room % 2))
    assert list(seed_files(tmp_path)) == ["dags/largest.py"]

    extra.write_text("x")
    with pytest.raises(pulumi.RunError) as refused:
        seed_files(tmp_path)

    assert str(refused.value) == (
        f"{tmp_path}: {room + 1} bytes of text files; git_server.seed accepts {room}, which fit "
        "into a ConfigMap: remove files from the folder and push them later"
    )


def test_a_binary_file_in_the_seed_is_refused(tmp_path):
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")

    with pytest.raises(
        pulumi.RunError, match=f"{tmp_path}/logo.png: not a text file.*push it later"
    ):
        seed_files(tmp_path)


def test_the_repository_has_the_configured_branch(server):
    assert container(server)["env"] == [{"name": "BRANCH", "value": "trunk"}]


def test_the_airflow_image_serves_git_as_its_user(server):
    security = template(server)["spec"]["securityContext"]

    assert container(server)["image"] == "apache/airflow:3.3.2"
    assert (security["runAsUser"], security["fsGroup"]) == (50000, 50000)
    assert container(server)["resources"]["limits"]["memory"] == "256Mi"


def test_the_repository_is_on_the_volume(server):
    claim = server.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]

    assert claim["resources"]["requests"]["storage"] == "4Gi"
    assert {"name": "data", "mountPath": "/git"} in container(server)["volumeMounts"]


def test_the_server_is_ready_when_it_can_be_cloned(server):
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
def test_pushes_are_accepted_only_from_localhost(service, address, allowed):
    script = (ROOT / "components" / "in_pod" / "git_server.sh").read_text()
    assert "--access-hook=/git/access" in script

    hook = script.partition("cat > /git/access <<'HOOK'\n")[2].partition("\nHOOK\n")[0]
    result = subprocess.run(  # noqa: S603 - our own hook
        ["/bin/sh", "-c", hook, "access", service],
        env={"REMOTE_ADDR": address},
        capture_output=True,
        check=False,
    )
    assert (result.returncode == 0) is allowed
