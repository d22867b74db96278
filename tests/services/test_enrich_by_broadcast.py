import pytest

from kernel_lib import jobs, oracle, oracle_enrichment, reference, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until
from tests.services import enriching
from tests.services.enriching import Added, found


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    enriching.prepare(settings)


def expected(run: Producer, settings: Settings) -> Added:
    """Return what the newest versions add: all were there before the events."""
    merchants, users = (
        oracle_enrichment.newest(topics.read(name, settings=settings)) for name in ("merchants", "users")
    )
    rows = oracle_enrichment.enriched(oracle.replay(run), merchants, users)
    return sorted(rows.itertuples(index=False, name=None))


def test_each_payment_gets_the_newest_versions(settings: Settings) -> None:
    """Fails when a subtask keeps the first version that it meets, or unmatched payments are dropped."""
    reference.change("users", "user-00001", tier="gold", city="Oslo", settings=settings)
    topics.write("users", b"not JSON", b"[1]", key=b"user-00002", settings=settings)
    job = jobs.submit("enrich_by_broadcast", settings=settings, parallelism=1).wait_running()
    wait_until(lambda: sum(job.positions("users").values()) == enriching.KNOWN_USERS + 3, 30, "the users to be read")
    run = enriching.send(settings)
    job.drain()
    answer = found(settings)
    assert answer == expected(run, settings)
    assert {row[-1] for row in answer} == {True, False}


def test_an_event_gets_the_version_that_came_before_it(settings: Settings) -> None:
    """Fails when the job compares times, as enrich_transactions does."""
    job = jobs.submit("enrich_by_broadcast", settings=settings).wait_running()
    found = enriching.categories_around_a_change(job, settings)
    assert found == {"from-before": "books", "from-after": "bakery"}
