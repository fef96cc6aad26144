"""Messages that a worker took from Redis and had not started when it was killed.

Celery keeps such a message under `unacked` and requeues it only after `visibility_timeout`, a day;
in Airflow, its task stays queued: docs/adr/0013-a-task-keeper.md.
"""

# pyright: reportMissingImports=false
# The Airflow image contains the missing packages.

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# A worker starts a task within one or two seconds, on a busy machine a little later.
PATIENCE = timedelta(seconds=15)
ANSWER_SECONDS = 2.0
REDIS_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Message:
    # Celery's ID of the task.
    id: str
    # Tag of the delivery to a worker.
    tag: bytes
    taken: datetime


def unclaimed(
    messages: Iterable[Message],
    workers: Mapping[str, datetime],
    answers: Mapping[str, Collection[str]],
) -> list[Message]:
    """Messages that no worker holds.

    `workers` contains their start times, `answers` the IDs that a worker knows. A worker that was
    running when a message was taken may hold it until it answers: a worker that shuts down does
    not answer.
    """
    known = {id_ for ids in answers.values() for id_ in ids}

    def possible_holders(message: Message) -> set[str]:
        return {name for name, since in workers.items() if since <= message.taken}

    return [m for m in messages if m.id not in known and possible_holders(m) <= answers.keys()]


class Broker:
    """Redis, through Celery."""

    def __init__(self, url: str) -> None:
        from celery import Celery

        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.broker_transport_options = {
            "socket_timeout": REDIS_SECONDS,
            "socket_connect_timeout": REDIS_SECONDS,
        }

    def requeue(
        self, queued: Collection[str], workers: Mapping[str, datetime], now: datetime
    ) -> list[str]:
        """Requeue the unclaimed messages of these queued tasks. Returns the IDs of the tasks."""
        with self._app.connection_for_write() as connection:
            channel = connection.channel()
            taken = [m for m in _taken(channel, now - PATIENCE) if m.id in queued]
            if not taken:
                return []
            inspect = self._app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
            answers = inspect.query_task([message.id for message in taken]) or {}
            # The name of a worker is `celery@<pod>`.
            by_pod = {name.partition("@")[2]: ids for name, ids in answers.items()}
            requeued = unclaimed(taken, workers, by_pod)
            for message in requeued:
                # As Celery does after `visibility_timeout`.
                channel.qos.restore_by_tag(message.tag)
            return [message.id for message in requeued]


def _taken(channel: Any, before: datetime) -> list[Message]:
    with channel.conn_or_acquire() as redis:
        index = redis.zrangebyscore(
            channel.unacked_index_key, 0, before.timestamp(), withscores=True
        )
        tags = [tag for tag, _ in index]
        contents = redis.hmget(channel.unacked_key, tags) if tags else []
    return [
        Message(
            id=json.loads(content)[0]["headers"]["id"],
            tag=tag,
            taken=datetime.fromtimestamp(seconds, UTC),
        )
        for (tag, seconds), content in zip(index, contents, strict=True)
        if content is not None  # the task has ended in the meantime
    ]
