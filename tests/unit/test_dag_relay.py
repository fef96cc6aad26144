from dataclasses import fields

import pulumi
import pytest

from components.dag_relay import DagRelay, DagRelayArgs
from plan.engine import ROOT
from sections.airflow import DagSettings
from settings import Secrets
from tests.unit.conftest import secret_data

SERVER = "kubernetes:apps/v1:StatefulSet"
CONFIG = "kubernetes:core/v1:ConfigMap"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
REPO = "https://github.com/example/dags.git"
TOKEN = {"repo": REPO, "auth": {"kind": "token", "username": "bot"}}
HOST_KEY = "github.com ssh-ed25519 AAAAC3Nza"
SSH = {
    "repo": "git@github.com:example/dags.git",
    "auth": {"kind": "ssh", "known_hosts": HOST_KEY},
}
APP = {
    "repo": REPO,
    "auth": {"kind": "github_app", "client_id": "Iv23", "installation_id": 42},
}
LOGINS = {
    "git_token": "the-token",
    "git_ssh_key": "the-ssh-key",
    "github_app_key": "the-app-key",
}


@pytest.fixture
def relay(deploy):
    def make(secrets=LOGINS, **dags):
        def program():
            given = {f.name: None for f in fields(Secrets)}
            given |= {key: pulumi.Output.secret(text) for key, text in secrets.items()}
            args = DagRelayArgs(
                namespace="airflow",
                image="apache/airflow:3.2.2",
                dags=DagSettings(**{"repo": REPO, **dags}),
                secrets=Secrets(**given),
            )
            DagRelay("dag-relay", args)

        return deploy(program)

    return make


def template(declaration):
    return declaration.one(SERVER).inputs["spec"]["template"]


def container(declaration, name):
    (found,) = [c for c in template(declaration)["spec"]["containers"] if c["name"] == name]
    return found


def environment(declaration):
    return {e["name"]: e["value"] for e in container(declaration, "git-sync")["env"]}


def mounted(declaration, name):
    """Volume sources by mount path."""
    volumes = {v["name"]: v for v in template(declaration)["spec"]["volumes"]}
    return {
        m["mountPath"]: volumes[m["name"]] for m in container(declaration, name)["volumeMounts"]
    }


def test_one_pod_asks_the_git_host_as_often_as_the_settings_say(relay):
    declaration = relay(poll_seconds=7)

    assert declaration.one(SERVER).inputs["spec"]["replicas"] == 1
    env = environment(declaration)
    assert (env["GITSYNC_REPO"], env["GITSYNC_PERIOD"]) == (REPO, "7s")
    assert container(declaration, "git-sync")["image"].startswith(
        "registry.k8s.io/git-sync/git-sync:v4"
    )


@pytest.mark.parametrize(
    ("where", "ref"),
    [
        ({}, "main"),
        ({"branch": "release"}, "release"),
        ({"tag": "v1.2"}, "v1.2"),
        ({"commit": "a" * 40}, "a" * 40),
    ],
    ids=["unset", "branch", "tag", "commit"],
)
def test_it_follows_the_branch_the_tag_or_the_commit(relay, where, ref):
    assert environment(relay(**where))["GITSYNC_REF"] == ref


def test_a_git_host_that_is_down_is_asked_again_for_ever(relay):
    assert environment(relay())["GITSYNC_MAX_FAILURES"] == "-1"


def test_a_run_of_a_bundle_can_go_back_to_its_commit(relay):
    assert environment(relay(mode="bundle"))["GITSYNC_DEPTH"] == "0", "all of the history"


def test_it_publishes_with_the_script_beside_the_component(relay):
    declaration = relay()

    assert environment(declaration)["GITSYNC_EXECHOOK_COMMAND"] == "/relay/publish"
    script = (ROOT / "components" / "dag_relay_publish.sh").read_text()
    config = declaration.one(CONFIG).inputs
    assert config["data"]["publish"] == script
    assert mounted(declaration, "git-sync")["/relay"]["configMap"] == {
        "name": config["metadata"]["name"],
        "defaultMode": 0o555,
    }, "otherwise git-sync cannot execute it"


def test_the_pods_of_airflow_find_their_hook_under_its_name(relay):
    script = (ROOT / "components" / "dag_relay_keep_times.sh").read_text()

    assert relay().one(CONFIG).inputs["data"]["post-index-change"] == script


@pytest.mark.parametrize(("folder", "passed"), [("team/dags", "team/dags"), ("", ".")])
def test_the_script_knows_what_a_commit_must_have(relay, folder, passed):
    env = environment(relay(sub_path=folder, max_mb=12))

    assert (env["SUB_PATH"], env["MAX_MB"]) == (passed, "12")


def test_it_serves_what_the_script_published_and_nothing_else(relay):
    declaration = relay()

    served = container(declaration, "dag-relay")
    assert served["command"][:2] == ["git", "daemon"]
    assert served["args"] == ["--port=9418", "--base-path=/git", "/git/dags.git"]
    assert "receive-pack" not in str(served["command"] + served["args"]), "nobody pushes here"
    assert environment(declaration)["PUBLISHED"] == "/git/dags.git"
    assert environment(declaration)["GITSYNC_ROOT"] == "/git/sync", "git-sync empties its root"


def test_it_is_ready_when_it_has_a_commit_to_serve(relay):
    declaration = relay()

    assert container(declaration, "dag-relay")["readinessProbe"]["exec"]["command"] == [
        "git",
        "ls-remote",
        "--exit-code",
        "git://127.0.0.1/dags.git",
        "dags",
    ]
    assert environment(declaration)["BRANCH"] == "dags"


def test_a_repository_that_cannot_be_fetched_fails_the_deployment_in_minutes(relay, wire):
    relay()

    timeouts = wire["dag-relay-server"].customTimeouts
    assert (timeouts.create, timeouts.update) == ("5m", "5m")


def test_the_last_good_commit_outlives_the_pod(relay):
    declaration = relay(storage_gb=3)

    claim = declaration.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]
    assert claim["resources"]["requests"]["storage"] == "3Gi"
    for name in ("dag-relay", "git-sync"):
        assert mounted(declaration, name)["/git"]["persistentVolumeClaim"], name


def test_airflow_reads_it_and_monitoring_its_metrics(relay):
    declaration = relay()

    airflow, monitoring = declaration.one(POLICY).inputs["spec"]["ingress"]
    assert airflow == {
        "from": [{"podSelector": {"matchLabels": {"tier": "airflow", "release": "airflow"}}}],
        "ports": [{"port": 9418, "protocol": "TCP"}],
    }
    assert monitoring == {
        "from": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
        "ports": [{"port": 9090, "protocol": "TCP"}],
    }
    env = environment(declaration)
    assert (env["GITSYNC_HTTP_BIND"], env["GITSYNC_HTTP_METRICS"]) == (":9090", "true")


def test_a_public_repository_needs_no_login(relay):
    declaration = relay()

    assert declaration.all("kubernetes:core/v1:Secret") == []
    assert "/etc/git-login" not in mounted(declaration, "git-sync")


@pytest.mark.parametrize(
    ("dags", "files", "env"),
    [
        (
            TOKEN,
            {"token": "the-token"},
            {
                "GITSYNC_USERNAME": "bot",
                "GITSYNC_PASSWORD_FILE": "/etc/git-login/token",
            },
        ),
        (
            SSH,
            {"key": "the-ssh-key", "known_hosts": HOST_KEY},
            {
                "GITSYNC_SSH_KEY_FILE": "/etc/git-login/key",
                "GITSYNC_SSH_KNOWN_HOSTS_FILE": "/etc/git-login/known_hosts",
            },
        ),
        (
            APP,
            {"key": "the-app-key"},
            {
                "GITSYNC_GITHUB_APP_CLIENT_ID": "Iv23",
                "GITSYNC_GITHUB_APP_INSTALLATION_ID": "42",
                "GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE": "/etc/git-login/key",
                "GITSYNC_GITHUB_BASE_URL": "https://api.github.com/",
            },
        ),
    ],
    ids=["token", "ssh", "github app"],
)
def test_it_logs_in_with_files_of_a_secret(relay, dags, files, env):
    declaration = relay(**dags)

    assert secret_data(declaration, "airflow-git") == files
    assert env.items() <= environment(declaration).items()
    assert mounted(declaration, "git-sync")["/etc/git-login"]["secret"] == {
        "secretName": "airflow-git",
        "defaultMode": 0o400,
    }
    assert "/etc/git-login" not in mounted(declaration, "dag-relay"), "it needs none to serve"
    assert not set(files.values()) & set(environment(declaration).values())


def test_a_new_login_restarts_the_relay(relay):
    old, new = (
        template(relay(secrets={"git_token": token}, **TOKEN))["metadata"]["annotations"]
        for token in ("old", "new")
    )

    assert {key for key in new if new[key] != old[key]} == {"checksum/airflow-git"}


def test_a_git_host_with_a_private_ca_is_verified_with_it(relay, tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    declaration = relay(ca_file=str(tmp_path / "ca.pem"))

    assert declaration.one(CONFIG).inputs["data"]["ca.pem"] == "-----BEGIN CERTIFICATE-----"
    env = environment(declaration)
    assert env["GIT_SSL_CAINFO"] == env["SSL_CERT_FILE"] == "/relay/ca.pem"


def test_without_a_private_ca_those_of_the_image_vouch(relay):
    assert not {"GIT_SSL_CAINFO", "SSL_CERT_FILE"} & set(environment(relay()))
