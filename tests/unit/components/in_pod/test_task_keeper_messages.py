"""Requeueing of messages that a worker took and had not started when it was killed."""

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Thing

import pytest

from components.in_pod.task_keeper import messages

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
URL = "redis://:pw@redis:6379/0"


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def message(id_="a", taken=20):
    return messages.Message(id=id_, tag=f"tag-{id_}".encode(), taken=ago(taken))


def test_a_message_that_no_worker_knows_is_unclaimed():
    one, other = message("one"), message("other")

    found = messages.unclaimed(
        [one, other], {"w-1": ago(3600), "w-2": ago(5)}, {"w-1": {"other"}, "w-2": set()}
    )

    assert found == [one]


def test_without_workers_every_message_is_unclaimed():
    assert messages.unclaimed([message()], {}, {}) == [message()]


@pytest.mark.parametrize(("since", "unclaimed"), [(21, False), (20, False), (19, True)])
def test_a_silent_worker_may_hold_earlier_messages(since, unclaimed):
    found = messages.unclaimed([message(taken=20)], {"w": ago(since)}, {})

    assert found == ([message()] if unclaimed else [])


class Channel:
    """Channel of Celery's Redis transport. `taken`: age in seconds by task ID."""

    unacked_key, unacked_index_key = "unacked", "unacked_index"

    def __init__(self, taken, ended=()):
        self._scores = {f"tag-{id_}".encode(): ago(s).timestamp() for id_, s in taken.items()}
        self._ended = ended
        self.restored = []
        self.qos = Thing(restore_by_tag=self.restored.append)

    def conn_or_acquire(self):
        return nullcontext(self)

    def zrangebyscore(self, key, low, high, withscores):
        assert (key, withscores) == ("unacked_index", True)
        return [(tag, score) for tag, score in self._scores.items() if low <= score <= high]

    def hmget(self, key, tags):
        assert key == "unacked"
        assert tags, "Redis rejects HMGET without fields"
        return [self._content(tag.decode().removeprefix("tag-")) for tag in tags]

    def _content(self, id_):
        return None if id_ in self._ended else json.dumps([{"headers": {"id": id_}}, "", "default"])


class Queues:
    """Channel with these task IDs by queue, and those of messages on workers."""

    unacked_key, priority_steps = "unacked", (0, 9)

    def __init__(self, taken=(), **queues):
        self.queues, self.taken = queues, taken

    def conn_or_acquire(self):
        return nullcontext(self)

    def _q_for_pri(self, queue, step):
        return f"{queue}-{step}" if step else queue

    def lrange(self, key, start, end):
        ids = self.queues.get(key, [])[start : end + 1]
        return [json.dumps({"headers": {"id": id_}}) for id_ in ids]

    def hvals(self, key):
        assert key == "unacked"
        return [json.dumps([{"headers": {"id": id_}}, "", "default"]) for id_ in self.taken]


@pytest.fixture
def broker(monkeypatch):
    """A broker with these answers of its workers, and the recorded queries."""

    def make(channel, answers):
        queries = []

        def query(ids):
            queries.append(ids)
            return answers

        connection = Thing(channel=lambda: channel)

        def inspect(timeout, connection):
            assert timeout == messages.ANSWER_SECONDS
            return Thing(query_task=query)

        def celery(broker, set_as_current):
            assert (broker, set_as_current) == (URL, False)
            return Thing(
                conf=Thing(),
                connection_for_write=lambda: nullcontext(connection),
                control=Thing(inspect=inspect),
            )

        monkeypatch.setitem(sys.modules, "celery", Thing(Celery=celery))
        return messages.Broker(URL), queries

    return make


def test_messages_of_a_killed_worker_are_requeued(broker):
    channel = Channel({"one": 20, "two": 20})
    redis, queries = broker(channel, {"celery@w-1": {"two": ["active", {}]}})

    assert redis.requeue({"one", "two"}, {"w-1": ago(3600)}, NOW) == ["one"]
    assert channel.restored == [b"tag-one"]
    assert queries == [["one", "two"]]


def test_messages_are_requeued_if_no_worker_answers(broker):
    channel = Channel({"one": 20})
    redis, _ = broker(channel, None)

    assert redis.requeue({"one"}, {}, NOW) == ["one"]


@pytest.mark.parametrize(
    "channel",
    [Channel({}), Channel({"one": 14}), Channel({"one": 20}, ended={"one"}), Channel({"two": 20})],
    ids=["still in its queue", "just taken", "just ended", "of a running task"],
)
def test_other_messages_are_not_touched(broker, channel):
    redis, queries = broker(channel, {})

    assert redis.requeue({"one"}, {}, NOW) == []
    assert channel.restored == queries == []


def lost(redis, queued, *queues):
    """Lost messages of the first check, and of the second one a minute later."""
    return [redis.lost(queued, queues, NOW + n * messages.CHECK_EVERY) for n in (0, 1)]


def test_a_message_that_is_nowhere_in_redis_is_lost(broker):
    many = [f"task-{n}" for n in range(messages.PAGE + 1)]
    channel = Queues(taken=["on a worker"], default=many, **{"etl-9": ["urgent"]})
    redis, _ = broker(channel, None)
    everywhere = {*many, "on a worker", "urgent", "nowhere"}

    assert lost(redis, everywhere, "default", "etl") == [[], ["nowhere"]]


def test_a_message_that_arrives_late_is_not_lost(broker):
    channel = Queues()
    redis, _ = broker(channel, None)
    redis.lost({"late"}, ["default"], NOW)
    channel.queues["default"] = ["late"]

    assert redis.lost({"late"}, ["default"], NOW + messages.CHECK_EVERY) == []


def test_a_lost_message_is_reported_once_in_two_checks(broker):
    redis, _ = broker(Queues(), None)
    times = [NOW + n * messages.CHECK_EVERY / 2 for n in range(7)]

    found = [redis.lost({"one"}, ["default"], time) for time in times]

    assert found == [[], [], ["one"], [], [], [], ["one"]]


def test_without_queued_tasks_redis_is_not_read(broker):
    redis, _ = broker(None, None)

    assert lost(redis, set()) == [[], []]


def test_an_unreachable_redis_times_out_quickly(broker):
    redis, _ = broker(Channel({}), {})

    options = redis._app.conf.broker_transport_options
    assert options == {"socket_timeout": 5, "socket_connect_timeout": 5}
