"""Messages that a worker took from Redis and had not begun when it was killed.

Celery keeps a message that was taken under `unacked` until its task has ended, and hands it out again when
`visibility_timeout` is over, which is a day. For Airflow such a task is queued meanwhile.
"""

# pyright: reportMissingImports=false
# Airflow's image has them.

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# A worker begins what it takes within a second or two, and on a busy machine a little later.
PATIENCE = timedelta(seconds=15)
ANSWER_SECONDS = 2.0
REDIS_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Message:
    """`id` is the one that Celery gave to the task, `tag` that of the delivery to a worker."""

    id: str
    tag: bytes
    taken: datetime


def unheld(
    messages: Iterable[Message],
    workers: Mapping[str, datetime],
    answers: Mapping[str, Collection[str]],
) -> list[Message]:
    """Messages that no worker has.

    `workers`: since when each of them runs. Who was there when a message was taken has to answer: a worker
    that shuts down does not. `answers`: which ids a worker knows.
    """
    known = {id_ for ids in answers.values() for id_ in ids}

    def may_have(message: Message) -> set[str]:
        return {name for name, since in workers.items() if since <= message.taken}

    return [one for one in messages if one.id not in known and may_have(one) <= answers.keys()]


class Broker:
    """Redis, through Celery."""

    def __init__(self, url: str) -> None:
        from celery import Celery

        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.broker_transport_options = {
            "socket_timeout": REDIS_SECONDS,
            "socket_connect_timeout": REDIS_SECONDS,
        }

    def hand_out_again(
        self, queued: Collection[str], workers: Mapping[str, datetime], now: datetime
    ) -> list[str]:
        """Put those of the queued tasks back into their queues that no worker has any more; their ids."""
        with self._app.connection_for_write() as connection:
            channel = connection.channel()
            found = [m for m in _taken(channel, now - PATIENCE) if m.id in queued]
            if not found:
                return []
            inspect = self._app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
            answers = inspect.query_task([message.id for message in found]) or {}
            # A worker's name is `celery@` and that of its pod.
            by_pod = {name.partition("@")[2]: ids for name, ids in answers.items()}
            again = unheld(found, workers, by_pod)
            for message in again:
                # As Celery does it itself, when the time is over.
                channel.qos.restore_by_tag(message.tag)
            return [message.id for message in again]


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
        if content is not None  # its task ended meanwhile
    ]
