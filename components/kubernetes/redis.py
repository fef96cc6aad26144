"""Redis: the queue between the schedulers and the Celery workers."""

import json
from dataclasses import dataclass

import pulumi

from components.kubernetes.namespace import MONITORING, PODS_OF_AIRFLOW
from components.kubernetes.stateful_server import StatefulServer, StatefulServerArgs
from components.support.named_secret import annotations, named_secret
from components.support.passwords import password
from settings.redis import RedisSettings
from settings.versions import REDIS_IMAGE

PORT = 6379
USER_ID = 999  # `redis` in that image
# While it rewrites its log Redis forks, and every page that changes meanwhile exists twice.
MEMORY_FACTOR = 2
MEMORY_BASE_MB = 64
EXPORTER = {"match_labels": {"app.kubernetes.io/name": "prometheus-redis-exporter"}}

CONFIG = """\
requirepass {password}
dir /data
appendonly yes
appendfsync everysec
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    namespace: pulumi.Input[str]
    password: pulumi.Output[str] | None
    password_generation: int
    settings: RedisSettings


class Redis(pulumi.ComponentResource):
    """A queue that survives its pod: every write is on the volume within a second."""

    host: str
    password: pulumi.Output[str]

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("airflow:k8s:Redis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        memory_mb = args.settings.memory_mb

        self.host = name
        self.password = password(
            f"{name}-password",
            configured=args.password,
            generation=args.password_generation,
            opts=child,
        )
        # The whole configuration is secret: on the command line the password would be public.
        secret = named_secret(
            f"{name}-config",
            name=f"{name}-config",
            namespace=args.namespace,
            data={
                "redis.conf": self.password.apply(
                    lambda text: CONFIG.format(password=_quoted(text), memory_mb=memory_mb)
                ),
                "password": self.password,
            },
            opts=child,
        )
        StatefulServer(
            name,
            StatefulServerArgs(
                namespace=args.namespace,
                image=REDIS_IMAGE,
                args=["redis-server", "/etc/redis/redis.conf"],
                env=[
                    {
                        "name": "REDISCLI_AUTH",
                        "value_from": {"secret_key_ref": {"name": secret.name, "key": "password"}},
                    }
                ],
                port=PORT,
                user_id=USER_ID,
                group_id=USER_ID,
                data_path="/data",
                storage_gb=args.settings.storage_gb,
                memory_mb=MEMORY_FACTOR * memory_mb + MEMORY_BASE_MB,
                # It answers PONG only when it has read its log back.
                ready=["sh", "-c", "redis-cli ping | grep -q PONG"],
                files={
                    "/etc/redis": {
                        "secret": {
                            "secret_name": secret.name,
                            "items": [{"key": "redis.conf", "path": "redis.conf"}],
                        }
                    }
                },
                annotations=annotations(secret),
                clients=[
                    {"pod_selector": {"match_labels": PODS_OF_AIRFLOW}},
                    # A redis_exporter takes its password from the same Secret.
                    {**MONITORING, "pod_selector": EXPORTER},
                ],
                protect=args.settings.protect,
            ),
            opts=child,
        )
        self.register_outputs({"host": self.host})


def _quoted(text: str) -> str:
    """Text as one word of redis.conf, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
