"""The indexer's process on the real services: its kill, an outage of Elasticsearch, its end, what keeps it away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kernel_lib import groups, indexer, indices, producer, services, topics
from kernel_lib.errors import AuthenticationFailed, IndexerFailed, NotFound, ServiceUnavailable, WaitTimeout
from kernel_lib.indexer import Indexer
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until
from tests.services.indexing import found, send, sent

pytestmark = pytest.mark.usefixtures("indexed_topic")
ROOT = Path(__file__).resolve().parents[2]


def until_busy(copy: Indexer) -> None:
    wait_until(lambda: copy.stats.indexed > 0, 30, "the first documents", interval_seconds=0.01)


def test_after_its_kill_the_next_one_indexes_every_event_once(settings: Settings) -> None:
    """Fails when a document has another id when it is written again."""
    send(60_000, 60_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    copy.kill()
    assert 0 < indices.count("user-events") < 60_000
    again = indexer.start("user-events")
    until_busy(again)
    again.kill()
    last = indexer.start("user-events")
    last.wait_caught_up(60)
    assert found(settings) == sent()
    assert sum(groups.lag(last.group, "user-events").values()) == 0


@pytest.mark.alone
def test_every_event_is_there_after_elasticsearch_was_dead_for_20_seconds(settings: Settings) -> None:
    """Fails when a batch that could not be written is left out, or is not tried again for long enough."""
    shop = producer.start("user-events", events_per_second=1_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    services.kill("elasticsearch")
    try:
        wait_until(lambda: copy.stats.outage_seconds > 20, 60, "an outage of 20 s")
        assert "Elasticsearch at http" in copy.stats.problem
        assert "does not answer" in copy.stats.problem
        assert copy.stats.lag > 10_000
    finally:
        services.start("elasticsearch")
    shop.stop()
    assert copy.wait_caught_up(60).problem == ""
    assert found(settings) == sent()


@pytest.mark.alone
def test_what_it_could_not_write_before_its_kill_the_next_one_writes(settings: Settings) -> None:
    """Fails when offsets are committed before Elasticsearch has the documents."""
    copy = indexer.start("user-events")
    services.kill("elasticsearch")
    try:
        send(2_000)
        wait_until(lambda: copy.stats.retries > 5, 20, "attempts to write")
        copy.kill()
    finally:
        services.start("elasticsearch")
    indexer.start("user-events").wait_caught_up(60)
    assert found(settings) == sent()


@pytest.mark.alone
def test_elasticsearch_that_is_frozen_is_told_and_waited_for(settings: Settings) -> None:
    """Fails when it is not told how long a request has been without an answer."""
    shop = producer.start("user-events", events_per_second=1_000)
    copy = indexer.start("user-events")
    until_busy(copy)
    services.pause("elasticsearch")
    try:
        wait_until(lambda: "has not answered for" in copy.stats.problem, 20, "the problem to be told")
    finally:
        services.resume("elasticsearch")
    shop.stop()
    assert copy.wait_caught_up(60).problem == ""
    assert found(settings) == sent()


def test_starting_again_replaces_the_predecessor() -> None:
    """Fails when the predecessor is not stopped."""
    first = indexer.start("user-events")
    second = indexer.start("user-events")
    assert not first.alive
    assert indexer.running() == [second]
    indexer.stop_all()
    assert indexer.running() == []
    assert second.stats.problem == ""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_an_indexer_ends_with_the_process_that_started_it(settings: Settings, ending: signal.Signals) -> None:
    """Fails when neither the end of standard input nor of the parent is heard."""
    program = "import signal; from kernel_lib import indexer; print(indexer.start('user-events').pid, flush=True); "
    parent = subprocess.Popen(
        [sys.executable, "-c", program + "signal.pause()"], stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ)
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(ending)
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the indexer to end")


def test_no_password_is_on_the_command_line_or_in_the_environment(settings: Settings) -> None:
    """Fails when the order is an argument."""
    copy = indexer.start("user-events")
    process = psutil.Process(copy.pid)
    shown = " ".join([*process.cmdline(), *process.environ().values(), repr(copy), copy.stats.text])
    passwords = (settings.sasl_password, settings.elasticsearch_password, settings.supervisor_password)
    assert not any(password.get_secret_value() in shown for password in passwords)


def test_an_indexer_that_is_gone_says_so(settings: Settings) -> None:
    """Fails when the code with which the process ended is not told."""
    copy = indexer.start("user-events")
    os.kill(copy.pid, signal.SIGKILL)
    wait_until(lambda: not copy.alive, 10, "its end")
    assert "ended with code -9" in copy.stats.problem
    with pytest.raises(IndexerFailed, match="does not run any more"):
        copy.wait_caught_up(10)


def test_who_waits_in_vain_is_told_how_far_it_is(settings: Settings) -> None:
    """Fails when the figures are not part of the error."""
    copy = indexer.start("user-events")
    topics.delete("dead-letters")
    topics.write("user-events", b"no JSON")
    with pytest.raises(WaitTimeout, match="the indexer of user-events to catch up") as caught:
        copy.wait_caught_up(1)
    assert "0 indexed, 0 rejected" in caught.value.cause


def test_a_missing_topic_is_not_found() -> None:
    """Fails when the index is made before the topic is looked for."""
    with pytest.raises(NotFound, match="nowhere"):
        indexer.start("nowhere")
    assert indices.list_names() == []


@pytest.mark.parametrize("password", ["sasl_password", "elasticsearch_password"])
def test_a_wrong_password_starts_no_indexer(password: str) -> None:
    """Fails when the process alone meets what Kafka and Elasticsearch say."""
    with pytest.raises(AuthenticationFailed):
        indexer.start("user-events", settings=load(**{password: "wrong"}))
    assert indexer.running() == []


@pytest.mark.parametrize("address", ["kafka_bootstrap_servers", "elasticsearch_url"])
def test_a_closed_port_starts_no_indexer(address: str, unused_port: int) -> None:
    """Fails when the process alone meets what Kafka and Elasticsearch say."""
    closed = f"127.0.0.1:{unused_port}"
    with pytest.raises(ServiceUnavailable, match=closed):
        indexer.start("user-events", settings=load(**{address: f"http://{closed}" if "url" in address else closed}))
