import shlex
from dataclasses import replace

import pulumi
import pytest

from components.kubernetes.redis import Redis, RedisArgs
from settings.redis import RedisSettings
from settings.versions import REDIS_IMAGE
from tests.unit.components.pods import container, mounted, template
from tests.unit.conftest import secret_data

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
ARGS = RedisArgs(namespace="airflow", password=None, password_rotation=1, settings=RedisSettings())


@pytest.fixture
def redis(deploy):
    return lambda **settings: deploy(
        lambda: Redis("redis", replace(ARGS, settings=RedisSettings(**settings)))
    )


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("appendonly", "yes", "the queue survives its pod"),
        ("appendfsync", "everysec", "at most one second of writes is lost"),
        ("maxmemory-policy", "noeviction", "an evicted message is a lost task"),
        ("maxmemory", "300mb", "above the memory limit, the kernel kills Redis"),
        ("dir", "/data", "the volume is mounted there"),
        ("requirepass", "redis-password-1-1", "without it, every pod could queue tasks"),
    ],
)
def test_redis_persists_writes_and_never_evicts(redis, option, value, reason):
    text = secret_data(redis(memory_mb=300), "redis-config")["redis.conf"]

    assert dict(map(shlex.split, text.splitlines()))[option] == value, reason


@pytest.mark.parametrize("password", ["two words", 'quo"te', "it's", "#"])
def test_any_password_is_valid_in_redis_conf(deploy, password):
    def program():
        Redis("redis", replace(ARGS, password=pulumi.Output.secret(password)))

    text = secret_data(deploy(program), "redis-config")["redis.conf"]
    (line,) = [line for line in text.splitlines() if line.startswith("requirepass ")]
    assert shlex.split(line) == ["requirepass", password], (
        "Redis would not start with another escape"
    )


@pytest.mark.parametrize("rotation", [2, 5])
def test_clients_with_the_previous_password_stay_connected(deploy, rotation):
    snapshot = deploy(lambda: Redis("redis", replace(ARGS, password_rotation=rotation)))

    text = secret_data(snapshot, "redis-config")["redis.conf"]
    new, old = (f"redis-password-{n}-{n}" for n in (rotation, rotation - 1))
    users = [shlex.split(line) for line in text.splitlines() if line.startswith("user ")]
    assert users == [["user", "default", "on", "~*", "&*", "+@all", f">{new}", f">{old}"]]
    assert secret_data(snapshot, "redis-config")["password"] == new


def test_the_password_of_an_earlier_release_is_kept(redis):
    (generated,) = redis().all("random:index/randomPassword:RandomPassword")

    assert generated.aliases == {"redis-password"}


def test_redis_reads_the_mounted_configuration(redis):
    snapshot = redis()

    assert container(snapshot)["args"] == ["redis-server", "/etc/redis/redis.conf"]
    assert {"name": "files-0", "mountPath": "/etc/redis", "readOnly": True} in container(snapshot)[
        "volumeMounts"
    ]
    assert mounted(snapshot)["/etc/redis"]["secret"] == {
        "secretName": "redis-config",
        "items": [{"key": "redis.conf", "path": "redis.conf"}],
    }


def test_the_pod_gets_the_password_from_a_secret(redis):
    snapshot = redis()

    assert secret_data(snapshot, "redis-config")["password"] == "redis-password-1-1"
    assert container(snapshot)["env"] == [
        {
            "name": "REDISCLI_AUTH",
            "valueFrom": {"secretKeyRef": {"name": "redis-config", "key": "password"}},
        }
    ]


def test_the_memory_limit_allows_a_fork(redis):
    memory = container(redis(memory_mb=300))["resources"]["limits"]["memory"]

    assert memory == "664Mi", "twice maxmemory, plus the server itself"


def test_redis_is_ready_after_it_loaded_its_log(redis):
    (shell, option, script) = container(redis())["readinessProbe"]["exec"]["command"]

    assert (shell, option) == ("sh", "-c")
    assert script == "redis-cli ping | grep -q PONG", (
        "while it loads its log, the answer is LOADING"
    )


def test_the_volume_size_follows_the_settings(redis):
    claim = redis(storage_gb=7).one(CLAIM).inputs

    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


def test_the_volume_belongs_to_the_user_of_the_image(redis):
    snapshot = redis()

    security = template(snapshot)["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (999, 999, 999)
    assert container(snapshot)["image"] == REDIS_IMAGE
    assert {"name": "data", "mountPath": "/data"} in container(snapshot)["volumeMounts"]


def test_a_configured_password_is_set_on_the_server(deploy):
    def program():
        redis = Redis("redis", replace(ARGS, password=pulumi.Output.secret("configured")))
        pulumi.export("password", redis.password)
        pulumi.export("host", redis.host)

    snapshot = deploy(program)
    assert secret_data(snapshot, "redis-config")["password"] == "configured"
    assert snapshot.exports["password"].value == "configured"
    assert snapshot.exports["host"] == "redis"
    assert not snapshot.all("random:index/randomPassword:RandomPassword")


def test_redis_runs_the_image_and_the_digest_of_the_settings(redis):
    digest = f"sha256:{'a' * 64}"

    image = container(redis(image="registry.example/redis:7.4", digest=digest))["image"]
    assert image == f"registry.example/redis:7.4@{digest}"
