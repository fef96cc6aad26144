import hashlib
import os
import re
import subprocess
import time
from dataclasses import replace

import pulumi
import pytest

from components.kubernetes.redis import START, Redis, RedisArgs
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
    ],
)
def test_redis_persists_writes_and_never_evicts(redis, option, value, reason):
    text = secret_data(redis(memory_mb=300), "redis-config")["redis.conf"]

    assert dict(line.split(" ", 1) for line in text.splitlines())[option] == value, reason


# Redis replays the transactions of its append-only file with the rights of the user `default`.
REPLAY = ["~*", "&*", "+@all"]


def users(snapshot, file="redis.conf"):
    """The rules of each user of Redis."""
    text = secret_data(snapshot, "redis-config")[file]
    words = [line.split() for line in text.splitlines() if line.startswith("user ")]
    return {name: rules for _, name, *rules in words}


def hashed(password):
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def passwords(rules):
    return [rule for rule in rules if rule.startswith("#")]


def test_only_users_with_a_name_may_log_in(redis):
    snapshot = redis()

    assert users(snapshot)["default"] == ["off", *REPLAY]
    for name, password in [
        ("airflow", "redis-password-1-1"),
        ("exporter", "redis-exporter-password-1"),
        ("admin", "redis-admin-password-1"),
    ]:
        state, *rules = users(snapshot)[name]
        assert (state, passwords(rules)) == ("on", [hashed(password)])
        assert "nopass" not in rules


@pytest.mark.parametrize("user", ["airflow", "exporter"])
@pytest.mark.parametrize(
    "word",
    [
        *(
            "acl",
            "bgrewriteaof",
            "bgsave",
            "cluster",
            "config",
            "debug",
            "eval",
            "failover",
            "fcall",
        ),
        *("flushall", "flushdb", "function", "keys", "migrate", "module", "monitor", "psync"),
        *(
            "replicaof",
            "restore",
            "save",
            "script",
            "shutdown",
            "slaveof",
            "slowlog",
            "swapdb",
            "sync",
        ),
    ],
)
def test_tasks_and_exporters_do_not_administer_redis(redis, user, word):
    rules = users(redis())[user]

    # A category would include commands of later releases of Redis.
    assert [rule for rule in rules if "@" in rule] == []
    assert f"+{word}" not in rules


def test_kombu_and_the_task_keeper_may_use_the_queues(redis):
    allowed = {rule[1:] for rule in users(redis())["airflow"] if rule.startswith("+")}

    # Recorded with MONITOR: Celery 5.6.3, kombu 5.6.2, redis-py 6.4.0, and messages.py.
    assert allowed >= {
        *("brpop", "lpush", "rpush", "rpop", "llen", "lrange"),
        *("hset", "hget", "hdel", "hmget", "hvals"),
        *("zadd", "zrem", "zrevrangebyscore", "zrangebyscore"),
        *("sadd", "srem", "smembers", "del", "exists", "set", "get"),
        *("multi", "exec", "watch", "unwatch", "evalsha", "script|load"),
        *("publish", "subscribe", "psubscribe", "unsubscribe", "punsubscribe"),
        *("ping", "select", "client"),
    }


@pytest.mark.parametrize("word", ["kill", "list", "pause", "unpause", "unblock", "no-evict"])
def test_tasks_do_not_see_or_close_other_connections(redis, word):
    rules = users(redis())["airflow"]

    assert rules.index("+client") < rules.index(f"-client|{word}")


def test_exporters_read_no_message(redis):
    rules = users(redis())["exporter"]

    assert "+slowlog|len" in rules
    assert {"+slowlog|get", "+lrange", "+hget", "+get", "+psubscribe"} & set(rules) == set(), (
        "messages contain tokens of tasks"
    )


def test_the_configuration_contains_no_password(redis):
    data = secret_data(redis(), "redis-config")

    for file in ("redis.conf", "upgrade.conf"):
        assert not re.search(r"redis-(admin-|exporter-)?password", data[file])


@pytest.mark.parametrize("rotation", [2, 5])
def test_clients_with_the_previous_password_stay_connected(deploy, rotation):
    snapshot = deploy(lambda: Redis("redis", replace(ARGS, password_rotation=rotation)))

    new, old = (f"redis-password-{n}-{n}" for n in (rotation, rotation - 1))
    assert passwords(users(snapshot)["airflow"]) == [hashed(new), hashed(old)]
    assert secret_data(snapshot, "redis-config")["password"] == new


def test_the_password_of_an_earlier_release_is_kept(redis):
    generated = redis().all("random:index/randomPassword:RandomPassword")

    assert [each.name for each in generated if each.aliases == {"redis-password"}] == [
        "redis-password-1"
    ]


@pytest.mark.parametrize("rotation", [1, 2])
def test_pods_of_an_earlier_release_keep_their_login(deploy, rotation):
    snapshot = deploy(lambda: Redis("redis", replace(ARGS, password_rotation=rotation)))

    upgrade = users(snapshot, "upgrade.conf")
    assert upgrade["default"] == upgrade["airflow"], "more rights would be left to every task"
    assert {**upgrade, "default": ["off", *REPLAY]} == users(snapshot)


@pytest.fixture
def start(tmp_path):
    """Start the pod with a volume. Returns the configuration of the server."""
    data, path = tmp_path / "data", tmp_path / "bin"
    data.mkdir()
    path.mkdir()
    (path / "redis-server").write_text(f"#!/bin/sh\nmkdir -p {data}/appendonlydir\necho $1")
    (path / "redis-server").chmod(0o755)

    def start() -> str:
        script = START.replace("/data", str(data))
        env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
        command = ["/bin/sh", "-c", script]
        run = subprocess.run(command, env=env, check=False, capture_output=True, text=True)  # noqa: S603
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout.strip().rpartition("/")[2]

    start.data = data
    return start


def test_a_new_volume_never_accepts_the_default_user(start):
    assert [start(), start()] == ["redis.conf", "redis.conf"]


def test_a_volume_of_an_earlier_release_accepts_it_for_a_day(start):
    (start.data / "appendonlydir").mkdir()

    assert [start(), start()] == ["upgrade.conf", "upgrade.conf"]
    yesterday = time.time() - 25 * 3600
    os.utime(start.data / "named-users-since", (yesterday, yesterday))
    assert [start(), start()] == ["redis.conf", "redis.conf"]


def test_redis_reads_the_mounted_configuration(redis):
    snapshot = redis()

    assert container(snapshot)["args"] == ["sh", "-c", START]
    assert {"name": "files-0", "mountPath": "/etc/redis", "readOnly": True} in container(snapshot)[
        "volumeMounts"
    ]
    assert mounted(snapshot)["/etc/redis"]["secret"] == {
        "secretName": "redis-config",
        "items": [
            {"key": "redis.conf", "path": "redis.conf"},
            {"key": "upgrade.conf", "path": "upgrade.conf"},
        ],
    }


def test_the_pod_gets_the_password_from_a_secret(redis):
    snapshot = redis()

    data = secret_data(snapshot, "redis-config")
    assert data["password"] == "redis-password-1-1"
    assert data["exporter-password"] == "redis-exporter-password-1"
    assert container(snapshot)["env"] == [
        {
            "name": "REDISCLI_AUTH",
            "valueFrom": {"secretKeyRef": {"name": "redis-config", "key": "admin-password"}},
        }
    ]


def test_the_memory_limit_allows_a_fork(redis):
    memory = container(redis(memory_mb=300))["resources"]["limits"]["memory"]

    assert memory == "664Mi", "twice maxmemory, plus the server itself"


def test_redis_is_ready_after_it_loaded_its_log(redis):
    (shell, option, script) = container(redis())["readinessProbe"]["exec"]["command"]

    assert (shell, option) == ("sh", "-c")
    assert script == "redis-cli --user admin ping | grep -q PONG", (
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
    assert passwords(users(snapshot)["airflow"]) == [hashed("configured")]
    generated = snapshot.all("random:index/randomPassword:RandomPassword")
    assert {each.name for each in generated} == {"redis-admin-password", "redis-exporter-password"}


def test_redis_runs_the_image_and_the_digest_of_the_settings(redis):
    digest = f"sha256:{'a' * 64}"

    image = container(redis(image="registry.example/redis:7.4", digest=digest))["image"]
    assert image == f"registry.example/redis:7.4@{digest}"
