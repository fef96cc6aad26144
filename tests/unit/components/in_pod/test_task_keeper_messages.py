"""Messages that a worker took and had not begun when it was killed are handed out again."""

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


def test_a_message_that_no_worker_knows_is_unheld():
    one, other = message("one"), message("other")

    found = messages.unheld(
        [one, other], {"w-1": ago(3600), "w-2": ago(5)}, {"w-1": {"other"}, "w-2": set()}
    )

    assert found == [one]


def test_without_workers_nobody_holds_a_message():
    assert messages.unheld([message()], {}, {}) == [message()]


@pytest.mark.parametrize(("since", "unheld"), [(21, False), (20, False), (19, True)])
def test_a_worker_that_does_not_answer_may_hold_what_was_taken_while_it_was_there(since, unheld):
    found = messages.unheld([message(taken=20)], {"w": ago(since)}, {})

    assert found == ([message()] if unheld else [])


class Channel:
    """Redis as Celery's transport sees it. `taken`: seconds ago, by the id of a task."""

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
        assert tags, "Redis refuses none"
        return [self._content(tag.decode().removeprefix("tag-")) for tag in tags]

    def _content(self, id_):
        return None if id_ in self._ended else json.dumps([{"headers": {"id": id_}}, "", "default"])


@pytest.fixture
def broker(monkeypatch):
    """A broker whose workers give these answers, and how it asks them."""

    def make(channel, answers):
        asked = []

        def query(ids):
            asked.append(ids)
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
        return messages.Broker(URL), asked

    return make


def test_what_a_killed_worker_had_taken_is_put_back(broker):
    channel = Channel({"one": 20, "two": 20})
    made, asked = broker(channel, {"celery@w-1": {"two": ["active", {}]}})

    assert made.hand_out_again({"one", "two"}, {"w-1": ago(3600)}, NOW) == ["one"]
    assert channel.restored == [b"tag-one"]
    assert asked == [["one", "two"]]


def test_what_a_killed_worker_had_taken_is_put_back_when_nobody_answers(broker):
    channel = Channel({"one": 20})
    made, _ = broker(channel, None)

    assert made.hand_out_again({"one"}, {}, NOW) == ["one"]


@pytest.mark.parametrize(
    "channel",
    [Channel({}), Channel({"one": 14}), Channel({"one": 20}, ended={"one"}), Channel({"two": 20})],
    ids=["in its queue", "just taken", "just ended", "of a task that runs"],
)
def test_other_messages_stay_and_no_worker_is_asked(broker, channel):
    made, asked = broker(channel, {})

    assert made.hand_out_again({"one"}, {}, NOW) == []
    assert channel.restored == asked == []


def test_redis_that_is_away_holds_nobody_up_for_long(broker):
    made, _ = broker(Channel({}), {})

    options = made._app.conf.broker_transport_options
    assert options == {"socket_timeout": 5, "socket_connect_timeout": 5}
