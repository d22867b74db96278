import secrets
from collections.abc import Iterator

import confluent_kafka
import pytest

from kernel_lib import indices, producer, topics
from kernel_lib.errors import NotFound, ServiceUnavailable
from kernel_lib.ledger import Index, Ledger, Topic
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until


@pytest.fixture
def settings() -> Iterator[Settings]:
    settings = load(namespace=f"t-{secrets.token_hex(4)}")
    topics.create("user-events", partitions=1, settings=settings)
    topics.create("processed-events", partitions=1, append_time=True, settings=settings)
    yield settings
    producer.stop_all()
    for name in topics.list_names(settings=settings):
        topics.delete(name, settings=settings)


@pytest.fixture
def shop(settings: Settings) -> Producer:
    shop = producer.start("user-events", events_per_second=2_000, count=500, settings=settings)
    shop.wait(30)
    return shop


@pytest.fixture
def values(shop: Producer, settings: Settings) -> list[bytes]:
    return [record.value or b"" for record in topics.read("user-events", settings=settings)]


def test_a_topic_that_holds_each_event_once_is_exact(shop: Producer, values: list[bytes], settings: Settings) -> None:
    """Fails when the bits of what was sent and what arrived are in another order."""
    topics.write("processed-events", *values, settings=settings)
    with Ledger(shop, "processed-events", settings=settings) as book:
        assert book.settle(20).exact


def test_what_a_job_lost_doubled_and_disordered_is_counted(
    shop: Producer, values: list[bytes], settings: Settings
) -> None:
    """Fails when a second arrival counts as out of order too."""
    topics.write("processed-events", *values[:400], values[7], values[450], values[449], b"{}", settings=settings)
    with Ledger(shop, "processed-events", settings=settings) as book:
        wait_until(lambda: book.update().strangers, 30, "the last record to arrive")
        figures = book.figures()
    assert (figures.missing, figures.duplicate, figures.out_of_order, figures.strangers) == (98, 1, 1, 1)


def test_a_ledger_goes_on_where_it_ended(shop: Producer, values: list[bytes], settings: Settings) -> None:
    """Fails when what has arrived is forgotten at the next call."""
    topics.write("processed-events", *values[:100], settings=settings)
    with Ledger(shop, "processed-events", settings=settings) as book:
        wait_until(lambda: book.update().received == 100, 30, "the first hundred")
        assert book.figures().missing == 400
        topics.write("processed-events", *values[100:], settings=settings)
        assert (
            book.settle(20).text == "processed-events: 500 sent, 500 received, 0 missing, 0 duplicate, 0 out of order"
        )


def test_at_each_moment_what_was_sent_is_received_or_not_there(settings: Settings) -> None:
    """Fails when what the brokers have not acknowledged yet is left out."""
    shop = producer.start("user-events", events_per_second=50_000, settings=settings)
    with Ledger(shop, Topic("user-events", committed=False), settings=settings) as book:

        def under_way() -> int:
            seen = book.update()
            assert seen.sent == seen.received + seen.not_there
            return seen.in_flight and seen.received

        wait_until(under_way, 30, "events in flight")
        shop.stop()
        assert book.settle(60).exact


def test_a_ledger_opened_before_the_first_result_misses_none(settings: Settings) -> None:
    """Fails when a partition that has no young events yet is left out."""
    shop = producer.start("user-events", events_per_second=0, settings=settings)
    with Ledger(shop, "user-events", settings=settings) as book:
        shop.set(events_per_second=500)
        shop.stop()
        figures = book.settle(20)
    assert figures.exact
    assert figures.received == figures.sent


def test_a_ledger_opened_within_a_transaction_reads_what_it_holds(settings: Settings) -> None:
    """Fails when a reader of committed records, which finds none so young yet, begins after the open transaction."""
    shop = producer.start("user-events", events_per_second=2_000, count=500, settings=settings)
    shop.wait(30)
    writer = confluent_kafka.Producer(settings.kafka_client() | {"transactional.id": settings.named("writer")})
    writer.init_transactions(20)
    writer.begin_transaction()
    for record in topics.read("user-events", settings=settings):
        writer.produce(settings.named("processed-events"), record.value)
    writer.flush(20)
    with Ledger(shop, "processed-events", settings=settings) as book:
        assert book.update().received == 0
        writer.commit_transaction(20)
        assert book.settle(20).exact


def test_an_unknown_run_names_the_latest_ones(shop: Producer, settings: Settings) -> None:
    with pytest.raises(NotFound, match=shop.run):
        Ledger("no-such-run", "user-events", settings=settings)


def test_a_ledger_needs_kafka(shop: Producer) -> None:
    with pytest.raises(ServiceUnavailable):
        Ledger(shop, "user-events", settings=load(kafka_bootstrap_servers="127.0.0.1:9"))


def test_one_topic_is_compared_with_another(shop: Producer, values: list[bytes], settings: Settings) -> None:
    """Fails when only one run of what the first topic holds counts, or duplicates are ticked off once."""
    topics.write("user-events", b'{"eventId":"another-0"}', settings=settings)
    topics.write("processed-events", *values[:450], values[3], settings=settings)
    with Ledger(Topic("user-events"), "processed-events", settings=settings) as book:
        wait_until(lambda: (now := book.update()).duplicate and now.sent == 501, 30, "the last record to arrive")
        figures = book.figures()
    assert (figures.sent, figures.received, figures.missing, figures.duplicate) == (501, 450, 51, 1)


def test_an_index_is_compared_as_it_grows(shop: Producer, values: list[bytes], settings: Settings) -> None:
    """Fails when a document written again counts as a second one, or a second one with another id does not."""
    indices.put("found", {"eventId": {"type": "keyword"}}, settings=settings)
    written = [(f"{shop.run}-{number}", value) for number, value in enumerate(_by_number(values))]
    indices.write("found", written[:400], settings=settings)
    with Ledger(shop, Index("found"), settings=settings) as book:
        assert book.update().text == "index found: 500 sent, 400 received, 100 missing, 0 duplicate, 0 out of order"
        indices.write("found", [*written[390:], ("another id", written[7][1])], settings=settings)
        figures = book.update()
    indices.delete("found", settings=settings)
    assert (figures.received, figures.missing, figures.duplicate) == (500, 0, 1)


def _by_number(values: list[bytes]) -> list[bytes]:
    return sorted(values, key=lambda value: int(value.split(b'"')[3].rpartition(b"-")[2]))


def test_an_unknown_index_is_not_found(shop: Producer, settings: Settings) -> None:
    """Fails when the index is not looked for at the start."""
    with pytest.raises(NotFound, match="nowhere"):
        Ledger(shop, Index("nowhere"), settings=settings)
