"""Messages of queued tasks that no worker will start: docs/adr/0013-a-task-keeper.md.

- A worker took the message from Redis and was killed before it started the task. Celery keeps such
  a message under `unacked` and requeues it only after `visibility_timeout`, a day.
- The message is nowhere in Redis: a crash lost it, or the scheduler ended before it sent it.
"""

# pyright: reportMissingImports=false
# The Airflow image contains the missing packages.

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from typing import Any

# A worker starts a task within one or two seconds, on a busy machine a little later.
PATIENCE = timedelta(seconds=15)
ANSWER_SECONDS = 2.0
REDIS_SECONDS = 5.0
# Reading all messages is expensive with a long queue. A message counts as lost after two checks: the
# scheduler sends it a moment after the task is queued, and Airflow reads the result of a task that
# failed to start a moment after its message is gone.
CHECK_EVERY = timedelta(seconds=60)
PAGE = 1000


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
        self._checked = datetime.min.replace(tzinfo=UTC)
        self._missing: set[str] = set()

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

    def lost(self, queued: Collection[str], queues: Iterable[str], now: datetime) -> list[str]:
        """IDs of these queued tasks whose message is nowhere in Redis, in two checks."""
        if now - self._checked < CHECK_EVERY:
            return []
        self._checked = now
        missing: set[str] = set()
        if queued:
            with self._app.connection_for_write() as connection:
                missing = set(queued) - _present(connection.channel(), queues)
        lost = missing & self._missing
        self._missing = missing - lost
        return sorted(lost)


def _present(channel: Any, queues: Iterable[str]) -> set[str]:
    """IDs of the tasks whose message is in a queue or on a worker, in the order of its way."""
    keys = [channel._q_for_pri(queue, step) for queue in queues for step in channel.priority_steps]
    present: set[str] = set()
    with channel.conn_or_acquire() as redis:
        for key in keys:
            # New messages enter at the start of the list, so that none is skipped.
            pages = (redis.lrange(key, start, start + PAGE - 1) for start in count(0, PAGE))
            for page in takewhile(len, pages):
                present |= {json.loads(content)["headers"]["id"] for content in page}
        taken = redis.hvals(channel.unacked_key)
    return present | {json.loads(content)[0]["headers"]["id"] for content in taken}


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
