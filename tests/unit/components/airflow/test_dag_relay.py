import hashlib
from dataclasses import fields

import pulumi
import pytest

from components.airflow import dag_relay
from components.airflow.dag_relay import DagRelay, DagRelayArgs
from components.in_pod import dag_relay_webhook
from ops.stack_files import ROOT
from settings import Secrets
from settings.dags import DagSettings
from settings.versions import GIT_SYNC_IMAGE
from tests.unit.components import pods
from tests.unit.components.pods import SERVER, container, mounted, template
from tests.unit.conftest import secret_data

CONFIG = "kubernetes:core/v1:ConfigMap"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVICE = "kubernetes:core/v1:Service"
REPO = "https://github.com/example/dags.git"
TOKEN = {"repo": REPO, "auth": {"kind": "token", "username": "bot"}}
DIGEST = f"sha256:{'a' * 64}"
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
    def make(secrets=LOGINS, logins=None, cidr=None, **dags):
        def program():
            given = {f.name: None for f in fields(Secrets)}
            given |= {key: pulumi.Output.secret(text) for key, text in secrets.items()}
            args = DagRelayArgs(
                namespace="airflow",
                image="apache/airflow:3.3.2",
                dags=DagSettings(**{"repo": REPO, **dags}),
                secrets=Secrets(**given),
                logins={k: pulumi.Output.secret(text) for k, text in (logins or {}).items()},
                webhook_rotation=1,
                load_balancer_cidrs=[cidr] if cidr else [],
            )
            DagRelay("dag-relay", args)

        return deploy(program)

    return make


def environment(snapshot, name="git-sync"):
    return pods.environment(snapshot, name)


def test_git_sync_polls_at_the_configured_interval(relay):
    snapshot = relay(poll_seconds=7)

    assert snapshot.one(SERVER).inputs["spec"]["replicas"] == 1
    env = environment(snapshot)
    assert (env["GITSYNC_REPO"], env["GITSYNC_PERIOD"]) == (REPO, "7s")


def test_the_relay_runs_the_git_sync_of_the_settings(relay):
    given = {"git_sync_image": "registry.example/git-sync:v4.5.0", "git_sync_digest": DIGEST}

    assert container(relay(), "git-sync")["image"] == GIT_SYNC_IMAGE
    assert container(relay(**given), "git-sync")["image"] == (
        f"registry.example/git-sync:v4.5.0@{DIGEST}"
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
def test_git_sync_follows_a_branch_a_tag_or_a_commit(relay, where, ref):
    assert environment(relay(**where))["GITSYNC_REF"] == ref


def test_git_sync_retries_forever_while_the_git_host_is_down(relay):
    assert environment(relay())["GITSYNC_MAX_FAILURES"] == "-1"


def test_bundle_runs_can_use_older_commits(relay):
    assert environment(relay(mode="bundle"))["GITSYNC_DEPTH"] == "0", "the full history"


def test_git_sync_publishes_with_the_committed_script(relay):
    snapshot = relay()

    assert environment(snapshot)["GITSYNC_EXECHOOK_COMMAND"] == "/relay/publish"
    script = (ROOT / "components" / "in_pod" / "dag_relay_publish.sh").read_text()
    config = snapshot.one(CONFIG).inputs
    assert config["data"]["publish"] == script
    assert mounted(snapshot, "git-sync")["/relay"]["configMap"] == {
        "name": config["metadata"]["name"],
        "defaultMode": 0o555,
    }, "otherwise git-sync cannot execute it"


def test_airflow_pods_find_the_git_hook_by_its_name(relay):
    script = (ROOT / "components" / "in_pod" / "preserve_mtimes.sh").read_text()

    assert relay().one(CONFIG).inputs["data"]["post-index-change"] == script


@pytest.mark.parametrize(("folder", "passed"), [("team/dags", "team/dags"), ("", ".")])
def test_the_publish_script_gets_the_dag_folder(relay, folder, passed):
    assert environment(relay(sub_path=folder))["SUB_PATH"] == passed


def test_the_gate_runs_the_committed_scripts(relay):
    snapshot = relay(max_mb=12, max_file_mb=3, max_files=99)
    gate = container(snapshot, "gate")
    env = environment(snapshot, "gate")

    assert gate["image"] == "apache/airflow:3.3.2", "the image contains Python and Git"
    assert gate["command"] == ["python", "-sE", "/relay/gate-server"]
    data = snapshot.one(CONFIG).inputs["data"]
    assert (data["gate.py"], data["gate-server"]) == (
        dag_relay.GATE.read_text(),
        dag_relay.GATE_SERVER.read_text(),
    )
    assert (env["MAX_MB"], env["MAX_FILE_MB"], env["MAX_FILES"]) == ("12", "3", "99")
    assert env["PORT"] == environment(snapshot)["GATE_PORT"]


def test_a_changed_script_restarts_the_gate(relay):
    scripts = dag_relay.GATE.read_bytes() + dag_relay.GATE_SERVER.read_bytes()

    annotations = template(relay())["metadata"]["annotations"]
    assert annotations["checksum/gate-script"] == hashlib.sha256(scripts).hexdigest()


def test_the_gate_reads_the_volumes_and_has_no_login(relay):
    snapshot = relay(**TOKEN)
    data = {m["mountPath"]: m for m in container(snapshot, "gate")["volumeMounts"]}

    assert data["/git"]["readOnly"] is True
    assert "/etc/git-login" not in data
    assert len(snapshot.one(POLICY).inputs["spec"]["ingress"]) == 2, "no pod connects to it"


@pytest.mark.parametrize("name", ["dag-relay", "git-sync", "gate"])
def test_git_in_the_relay_needs_no_memory_for_a_large_file(relay, name):
    snapshot = relay()

    assert environment(snapshot, name)["GIT_CONFIG_SYSTEM"] == "/relay/gitconfig"
    assert "/relay" in mounted(snapshot, name)
    config = snapshot.one(CONFIG).inputs["data"]["gitconfig"]
    assert "bigFileThreshold = 1m" in config


def test_only_published_commits_are_served(relay):
    snapshot = relay()

    served = container(snapshot, "dag-relay")
    assert served["command"][:2] == ["git", "daemon"]
    assert served["args"] == ["--port=9418", "--base-path=/git", "/git/dags.git"]
    assert "receive-pack" not in str(served["command"] + served["args"]), (
        "the relay accepts no pushes"
    )
    assert environment(snapshot)["PUBLISHED"] == "/git/dags.git"
    assert environment(snapshot)["GITSYNC_ROOT"] == "/git/sync", (
        "git-sync deletes other files in its root"
    )


def test_the_relay_is_ready_after_the_first_sync(relay):
    snapshot = relay()

    assert container(snapshot, "dag-relay")["readinessProbe"]["exec"]["command"] == [
        "git",
        "ls-remote",
        "--exit-code",
        "git://127.0.0.1/dags.git",
        "dags",
    ]
    assert environment(snapshot)["BRANCH"] == "dags"


def test_a_failing_first_sync_fails_the_deployment(relay, wire):
    relay()

    timeouts = wire["dag-relay-server"].customTimeouts
    assert (timeouts.create, timeouts.update) == ("10m", "10m")


def test_the_first_clone_may_take_ten_minutes(relay):
    assert environment(relay())["GITSYNC_SYNC_TIMEOUT"] == "600s"


def test_the_endpoint_is_removed_before_the_pod_stops(relay):
    hooks = container(relay(), "dag-relay")["lifecycle"]

    assert hooks == {"preStop": {"exec": {"command": ["sleep", "5"]}}}


def test_the_last_good_commit_survives_the_pod(relay):
    snapshot = relay(storage_gb=3)

    claim = snapshot.one("kubernetes:core/v1:PersistentVolumeClaim").inputs["spec"]
    assert claim["resources"]["requests"]["storage"] == "3Gi"
    for name in ("dag-relay", "git-sync"):
        assert mounted(snapshot, name)["/git"]["persistentVolumeClaim"], name


def test_git_sync_serves_metrics_to_monitoring(relay):
    env = environment(relay())
    assert (env["GITSYNC_HTTP_BIND"], env["GITSYNC_HTTP_METRICS"]) == (":9090", "true")


def test_a_public_repository_needs_no_credentials(relay):
    snapshot = relay()

    assert snapshot.all("kubernetes:core/v1:Secret") == []
    assert "/etc/git-login" not in mounted(snapshot, "git-sync")


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
            {"key": "the-ssh-key\n", "known_hosts": HOST_KEY},
            {
                "GITSYNC_SSH_KEY_FILE": "/etc/git-login/key",
                "GITSYNC_SSH_KNOWN_HOSTS_FILE": "/etc/git-login/known_hosts",
            },
        ),
        (
            APP,
            {"key": "the-app-key\n"},
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
def test_credentials_are_mounted_from_a_secret(relay, dags, files, env):
    snapshot = relay(**dags)

    assert secret_data(snapshot, "airflow-git") == files
    assert env.items() <= environment(snapshot).items()
    assert mounted(snapshot, "git-sync")["/etc/git-login"]["secret"] == {
        "secretName": "airflow-git",
        "defaultMode": 0o400,
    }
    assert "/etc/git-login" not in mounted(snapshot, "dag-relay"), "serving needs no credentials"
    assert not set(files.values()) & set(environment(snapshot).values())


def test_new_credentials_restart_the_relay(relay):
    old, new = (
        template(relay(secrets={"git_token": token}, **TOKEN))["metadata"]["annotations"]
        for token in ("old", "new")
    )

    assert {key for key in new if new[key] != old[key]} == {"checksum/airflow-git"}


def test_a_private_ca_verifies_the_git_host(relay, tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    snapshot = relay(ca_file=str(tmp_path / "ca.pem"))

    assert snapshot.one(CONFIG).inputs["data"]["ca.pem"] == "-----BEGIN CERTIFICATE-----"
    env = environment(snapshot)
    assert env["GIT_SSL_CAINFO"] == env["SSL_CERT_FILE"] == "/relay/ca.pem"


def test_the_default_cas_are_those_of_the_image(relay):
    assert not {"GIT_SSL_CAINFO", "SSL_CERT_FILE"} & set(environment(relay()))


@pytest.fixture
def with_webhook(relay):
    """A relay with a webhook behind a load balancer."""
    return relay(webhook=True, cidr="10.2.0.0/16")


def test_the_webhook_is_disabled_by_default(relay):
    snapshot = relay(cidr="10.2.0.0/16")

    assert [c["name"] for c in template(snapshot)["spec"]["containers"]] == [
        "dag-relay",
        "git-sync",
        "gate",
    ]
    assert snapshot.all("random:index/randomPassword:RandomPassword") == []
    assert "webhook" not in snapshot.one(CONFIG).inputs["data"]
    assert [s.name for s in snapshot.all(SERVICE)] == ["dag-relay-service"]
    assert len(snapshot.one(POLICY).inputs["spec"]["ingress"]) == 2
    assert not {"GITSYNC_SYNC_ON_SIGNAL", "ANNOUNCED"} & set(environment(snapshot))


def test_the_webhook_runs_the_committed_script(with_webhook):
    script = dag_relay.WEBHOOK.read_text()

    assert with_webhook.one(CONFIG).inputs["data"]["webhook"] == script
    webhook = container(with_webhook, "webhook")
    assert webhook["image"] == "apache/airflow:3.3.2", "the image contains Python"
    assert webhook["command"] == ["python", "-I", "/relay/webhook"]
    assert mounted(with_webhook, "webhook")["/relay"]["configMap"]["name"] == "dag-relay"
    assert environment(with_webhook, "webhook")["PORT"] == "8080"


def test_a_changed_script_restarts_the_webhook(with_webhook):
    script = dag_relay.WEBHOOK.read_bytes()

    annotations = template(with_webhook)["metadata"]["annotations"]
    assert annotations["checksum/webhook-script"] == hashlib.sha256(script).hexdigest()


def test_stale_git_locks_are_removed_at_start(relay):
    script = (ROOT / "components" / "in_pod" / "dag_relay_fetch.sh").read_text()
    snapshot = relay()

    assert snapshot.one(CONFIG).inputs["data"]["fetch"] == script
    git_sync = container(snapshot, "git-sync")
    assert (git_sync["command"], git_sync["args"]) == (["/relay/fetch"], ["/git-sync"])


def test_webhook_and_git_sync_share_a_pipe(with_webhook):
    assert environment(with_webhook)["GITSYNC_SYNC_ON_SIGNAL"] == "SIGHUP"
    pipe = environment(with_webhook)["ANNOUNCED"]
    assert environment(with_webhook, "webhook")["ANNOUNCED"] == pipe
    assert pipe.startswith("/git/"), "both containers mount this volume"
    assert not pipe.startswith((environment(with_webhook)["GITSYNC_ROOT"], "/git/dags.git"))


def test_polling_continues_with_a_webhook(relay):
    assert environment(relay(webhook=True, poll_seconds=7))["GITSYNC_PERIOD"] == "7s"


def test_the_webhook_has_no_login_and_no_write_access(relay):
    snapshot = relay(webhook=True, **TOKEN)

    assert set(mounted(snapshot, "webhook")) == {"/git", "/relay", "/etc/webhook"}
    mounts = container(snapshot, "webhook")["volumeMounts"]
    assert all(mount["readOnly"] for mount in mounts)
    spec = template(snapshot)["spec"]
    assert "shareProcessNamespace" not in spec, "/proc/PID/root of git-sync contains its login"


@pytest.mark.parametrize(
    "secrets", [{}, {"git_webhook_secret": "agreed"}], ids=["generated", "configured"]
)
def test_the_webhook_reads_its_secret_from_a_file(relay, secrets):
    snapshot = relay(secrets=secrets, webhook=True)

    (secret,) = secret_data(snapshot, "dag-relay-webhook").values()
    assert secret == secrets.get("git_webhook_secret", "dag-relay-webhook-key-1")
    assert mounted(snapshot, "webhook")["/etc/webhook"]["secret"] == {
        "secretName": "dag-relay-webhook",
        "defaultMode": 0o400,
    }
    assert environment(snapshot, "webhook")["SECRET_FILE"] == "/etc/webhook/secret"
    assert secret not in str(template(snapshot))


def test_the_load_balancer_may_connect_to_the_webhook_only(with_webhook):
    _, _, rule = with_webhook.one(POLICY).inputs["spec"]["ingress"]

    assert rule == {
        "from": [{"ipBlock": {"cidr": "10.2.0.0/16"}}],
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }


def test_the_webhook_is_closed_without_a_load_balancer(relay):
    rules = relay(webhook=True).one(POLICY).inputs["spec"]["ingress"]

    ports = [port["port"] for rule in rules for port in rule["ports"]]
    assert ports == [9418, 9090], "a rule without peers would admit everyone"


def test_the_load_balancer_checks_the_webhook_health(with_webhook):
    service = with_webhook.one(SERVICE, "dag-relay-webhook").inputs

    assert service["metadata"]["name"] == "dag-relay-webhook"
    assert service["spec"] == {
        "selector": {"app.kubernetes.io/name": "dag-relay"},
        "ports": [{"port": 8080}],
    }
    path = service["metadata"]["annotations"]["alb.ingress.kubernetes.io/healthcheck-path"]
    assert path == dag_relay.WEBHOOK_HEALTH == dag_relay_webhook.HEALTH, (
        "the path of the Ingress belongs to the API server"
    )


@pytest.mark.parametrize(
    "given",
    ["one\ntwo", "one\ntwo\n", "one\r\ntwo\r\n"],
    ids=["from the Pulumi CLI", "in plain text", "from Windows"],
)
def test_a_deploy_key_has_a_newline_after_each_line(relay, given):
    snapshot = relay(secrets={"git_ssh_key": given}, **SSH)

    assert secret_data(snapshot, "airflow-git")["key"] == "one\ntwo\n", "error in libcrypto"


@pytest.mark.parametrize(("mode", "keep"), [("bundle", "true"), ("git-sync", None)])
def test_only_bundles_keep_older_versions(relay, mode, keep):
    assert environment(relay(mode=mode)).get("KEEP") == keep


@pytest.mark.parametrize(("lfs", "passed"), [(True, "true"), (False, None)])
def test_files_of_git_lfs_are_fetched_on_request(relay, lfs, passed):
    image = {"git_sync_image": "registry.example/git-sync-lfs:1"}

    assert environment(relay(lfs=lfs, **image)).get("LFS") == passed


def test_airflow_pods_find_the_bundle_class_in_the_config_map(relay):
    script = dag_relay.BUNDLE.read_text()

    assert relay().one(CONFIG).inputs["data"]["relay_bundle.py"] == script
    assert dag_relay.BUNDLE_CLASS == "relay_bundle.RelayBundle"
    assert "class RelayBundle(" in script


OTHERS = {
    "sales": {"repo": "https://git.example.com/sales.git", "branch": "live", "sub_path": ""},
    "research": {**SSH, "tag": "v1", "sub_path": "team/dags"},
}


def several(relay, **dags):
    return relay(repositories=OTHERS, logins={"research": "a-key"}, **TOKEN, **dags)


def test_each_repository_has_its_own_git_sync(relay):
    snapshot = several(relay, webhook=True)

    sales, research = (environment(snapshot, f"git-sync-{name}") for name in OTHERS)
    for env, name, ref in ((sales, "sales", "live"), (research, "research", "v1")):
        assert env["GITSYNC_REPO"] == OTHERS[name]["repo"]
        assert env["GITSYNC_REF"] == ref
        assert env["GITSYNC_ROOT"] == f"/repositories/{name}/sync"
        assert env["PUBLISHED"] == f"/repositories/{name}/dags.git"
        assert env["SETTING"] == f"dags.repositories.{name}"
    assert (sales["SUB_PATH"], research["SUB_PATH"]) == (".", "team/dags")
    ports = [environment(snapshot)["GITSYNC_HTTP_BIND"]]
    ports += [env["GITSYNC_HTTP_BIND"] for env in (sales, research)]
    assert ports == [":9090", ":9091", ":9092"], "the containers share the pod's address"
    pipes = [env["ANNOUNCED"] for env in (environment(snapshot), sales, research)]
    assert environment(snapshot, "webhook")["ANNOUNCED"] == ":".join(pipes)
    assert len(set(pipes)) == 3


def test_each_git_sync_has_only_its_own_login(relay):
    snapshot = several(relay)

    assert secret_data(snapshot, "airflow-git") == {"token": "the-token"}
    assert secret_data(snapshot, "airflow-git-research") == {
        "key": "a-key\n",
        "known_hosts": HOST_KEY,
    }
    mounts = {
        name: mounted(snapshot, name).get("/etc/git-login", {}).get("secret", {}).get("secretName")
        for name in ("git-sync", "git-sync-sales", "git-sync-research")
    }
    assert mounts == {
        "git-sync": "airflow-git",
        "git-sync-sales": None,
        "git-sync-research": "airflow-git-research",
    }
    annotations = template(snapshot)["metadata"]["annotations"]
    assert {"checksum/airflow-git", "checksum/airflow-git-research"} <= set(annotations)


def test_each_repository_has_its_own_volume(relay):
    snapshot = several(relay, storage_gb=7)

    claims = snapshot.all("kubernetes:core/v1:PersistentVolumeClaim")
    assert {c.inputs["metadata"]["name"] for c in claims} == {
        "dag-relay",
        "dag-relay-sales",
        "dag-relay-research",
    }
    assert {c.inputs["spec"]["resources"]["requests"]["storage"] for c in claims} == {"7Gi"}
    for name in ("dag-relay", "git-sync", "git-sync-sales"):
        volumes = mounted(snapshot, name)
        for folder, claim in (("/git", "dag-relay"), ("/repositories/sales", "dag-relay-sales")):
            assert volumes[folder]["persistentVolumeClaim"] == {"claimName": claim}
        assert volumes["/combined"]["emptyDir"] == {}, "one full volume must not stop the others"


def test_git_sync_pods_get_one_tree_of_all_repositories(relay):
    snapshot = several(relay)

    served = container(snapshot, "dag-relay")
    assert served["args"] == [
        "--port=9418",
        "--base-path=/git",
        "--base-path-relaxed",
        "/combined/dags.git",
    ]
    ready = served["readinessProbe"]["exec"]["command"]
    assert "git://127.0.0.1/combined/dags.git" in ready
    main, sales = environment(snapshot), environment(snapshot, "git-sync-sales")
    assert (main["RESERVED"], sales["RESERVED"]) == ("repositories", "")
    for env in (main, sales):
        assert env["COMBINED"] == "/combined/dags.git"
        assert env["MAIN"] == "/git/dags.git"
        assert env["OTHERS"] == "/repositories/sales/dags.git /repositories/research/dags.git"
    assert snapshot.one(CONFIG).inputs["data"]["combine"] == dag_relay.COMBINE.read_text()


def test_bundles_get_each_repository_by_itself(relay):
    snapshot = several(relay, mode="bundle")

    assert container(snapshot, "dag-relay")["args"] == [
        "--port=9418",
        "--base-path=/git",
        "--base-path-relaxed",
        "/git/dags.git",
        "/repositories/sales/dags.git",
        "/repositories/research/dags.git",
    ]
    assert not {"COMBINED", "RESERVED"} & set(environment(snapshot))
    assert "/combined" not in mounted(snapshot, "git-sync")


def test_each_repository_may_have_a_private_ca(relay, tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    sales = {"repo": REPO, "ca_file": str(tmp_path / "ca.pem")}
    snapshot = relay(repositories={"sales": sales})

    assert "ca-sales.pem" in snapshot.one(CONFIG).inputs["data"]
    assert environment(snapshot, "git-sync-sales")["GIT_SSL_CAINFO"] == "/relay/ca-sales.pem"
    assert "GIT_SSL_CAINFO" not in environment(snapshot)
