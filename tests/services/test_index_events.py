import json
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from kernel_lib import indices, jobs, mappings, oracle, producer, topics
from kernel_lib.ledger import Index, Ledger
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load

REFUSED = 3
OUTAGE = (503, 503, 429)


@pytest.fixture(autouse=True)
def topics_and_index(settings: Settings) -> None:
    topics.create("user-events", settings=settings)
    topics.create("dead-letters", append_time=True, settings=settings)
    indices.put_template("user-events", mappings.of_topic("user-events"), settings=settings)


@pytest.fixture
def busy(settings: Settings) -> Iterator[Settings]:
    """Settings with an Elasticsearch that has no room for the first requests, and takes the later ones."""
    answers = iter(OUTAGE)

    class Door(BaseHTTPRequestHandler):
        turned_away: ClassVar[list[int]] = []

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = next(answers, 0)
            if status:
                self.turned_away.append(status)
                self.answer(status, b"")
                return
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            request = urllib.request.Request(settings.elasticsearch_url + self.path, body, headers)
            with urllib.request.urlopen(request) as answer:
                self.answer(answer.status, answer.read())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """The test says what came of it."""

    with ThreadingHTTPServer((settings.kafka_bootstrap_servers.partition(":")[0], 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield load(elasticsearch_url=f"http://{server.server_address[0]!s}:{server.server_port}")
        server.shutdown()
    assert tuple(Door.turned_away) == OUTAGE


def expected(run: Producer | str) -> dict[str, tuple[str, float]]:
    """Return user and duration of each event that is to be in the index, by its id."""
    frame = oracle.replay(run)
    name = run if isinstance(run, str) else run.run
    return {f"{name}-{n}": (u, d) for n, u, d in zip(frame["number"], frame["userId"], frame["duration"], strict=True)}


def found(settings: Settings) -> dict[str, tuple[str, float]]:
    """Return the same of the documents of the index."""
    indices.count("user-events", settings=settings)
    documents = indices.search("user-events", size=10_000, settings=settings).documents
    return {each["eventId"]: (each["userId"], each["duration"]) for each in documents}


def refused_events(run: Producer) -> list[bytes]:
    """Return events that are valid for Flink, which reads a number in quotes, and not for the index."""
    row = oracle.replay(run).iloc[0]
    event = {
        "eventId": "",
        **{name: row[name] for name in ("timestamp", "userId", "eventType", "sessionId", "page", "userAgent")},
        "location": {"lat": 1.0, "lon": 1.0},
        "duration": "12",
    }
    return [json.dumps(event | {"eventId": f"refused-{number}"}).encode() for number in range(REFUSED)]


def test_every_valid_event_is_in_the_index_or_a_dead_letter(settings: Settings, busy: Settings) -> None:
    """Fails when a request is not repeated after 429 or 503 (the job fails and begins anew), when the last batch is
    left in state, when documents have ids of their own choice, and when what Elasticsearch refuses is dropped."""
    # Only five hundred events or the drain end a batch.
    job = jobs.submit("index_events", batch_ms=60_000, start="earliest", python_mode="process", settings=busy)
    with producer.start(
        "user-events",
        events_per_second=1000,
        count=3000,
        seed=7,
        settings=settings,
        malformed_share=0.03,
        duplicate_share=0.03,
    ) as shop:
        shop.wait(60)
    topics.write("user-events", *(refused := refused_events(shop)), key=b"u", settings=settings)
    job.drain()
    assert job.failure() == ""
    assert found(settings) == expected(shop)
    assert indices.count("user-events", settings=settings) == len(expected(shop))
    letters = [record.json() for record in topics.read("dead-letters", settings=settings)]
    assert sorted(each["value"].encode() for each in letters) == sorted(refused)
    assert all("failed to parse field [duration]" in each["reason"] for each in letters)
    sent = {(r.partition, r.offset): r.value for r in topics.read("user-events", limit=10_000, settings=settings)}
    assert all(sent[each["partition"], each["offset"]] == each["value"].encode() for each in letters)
    with Ledger(shop, Index("user-events"), settings=settings) as book:
        assert book.settle(0).duplicate == 0


def test_in_thread_mode_the_job_says_what_it_needs(settings: Settings) -> None:
    """Fails when the check is left to Flink, whose words name no option of ours."""
    with pytest.raises(ValueError, match='python_mode must be "process"'):
        jobs.submit("index_events", settings=settings)
