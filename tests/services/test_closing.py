"""What is closed reads no more: no consumer, no live source, no thread is left of it."""

import gc
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer

from kernel_lib import ledger, lessons, live, plots, producer, topics
from kernel_lib.plots import guarantees, refresher
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services.saying import says


@pytest.fixture
def shop(settings: Settings) -> Iterator[Producer]:
    for name in ("user-events", "metrics"):
        topics.create(name, settings=settings)
    with producer.start("user-events", events_per_second=50, settings=settings) as started:
        yield started
    plots.stop()
    live.stop_all()


def open_consumers() -> int:
    return sum(_is_open(each) for each in gc.get_objects() if isinstance(each, Consumer))


def _is_open(consumer: Consumer) -> bool:
    try:
        consumer.assignment()
    except RuntimeError:
        return False
    return True


def ends_with(count: int) -> None:
    """Wait until only so many consumers are open, and nothing else of the pictures is left."""
    wait_until(lambda: open_consumers() == count, 20, f"{count} open consumers")
    assert live.running() == []
    assert refresher.names() == []
    assert not [thread for thread in threading.enumerate() if thread.name == "refresher"]


def test_nothing_is_left_of_pictures_that_are_closed(shop: Producer, settings: Settings) -> None:
    """Fails when a view, or a reader that was turned to the other isolation level, keeps a consumer."""
    before = open_consumers()
    counters = plots.EventCounters(live.TopicTail("user-events", settings=settings))
    board = plots.LedgerBoard(ledger.Ledger(shop, "user-events", settings=settings))
    lanes = plots.Guarantees(shop, {"one": "user-events", "other": "metrics"}, settings=settings)
    for committed in (False, True):
        lanes.read(committed=committed)
        says(lanes, f"Readers: {guarantees.isolation(committed)}")
    wait_until(lambda: open_consumers() == before + 4, 20, "the readers before to be closed")
    says(board, "received")
    says(counters, "events of the last")
    plots.stop()
    ends_with(before)
    assert "closed" in counters.widget.children[0].value
    assert "events of the last" in counters.text


def test_a_topic_that_two_pictures_show_is_read_until_both_are_closed(shop: Producer, settings: Settings) -> None:
    tail = live.TopicTail("user-events", settings=settings)
    first, second = plots.WorldMap(tail), plots.EventCounters(tail)
    first.close()
    says(second, "events of the last")
    assert live.running() == [f"tail of {settings.named('user-events')}"]
    plots.WorldMap(tail)
    again = plots.WorldMap(tail)  # the cell runs twice: the tail goes from one to the other
    second.close()
    says(again, "events in the last")
    again.close()
    assert live.running() == []


def test_the_closing_button_leaves_nothing_running(
    shop: Producer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the lesson's own sources, or the thread that redraws, outlive the button."""
    monkeypatch.setattr(lessons, "_closings", [])
    before = open_consumers()
    live.TopicTail("metrics", settings=settings)
    picture = plots.WorldMap(live.TopicTail("user-events", settings=settings))
    topics.create("of-this-notebook", owner="kernel", settings=settings)
    button = lessons.closing("close the shop", lambda: f"stopped after {shop.stop().sent} events")
    says(picture, "events in the last")
    assert "stopped after" in str(lessons.close())
    ends_with(before)
    wait_until(lambda: "close the shop: stopped after" in button.text, 5, "the outcome")
    assert "closed" in picture.widget.children[0].value
    assert topics.list_names(settings=settings) == ["metrics", "user-events"]
