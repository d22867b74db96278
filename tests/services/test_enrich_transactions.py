import pytest

from kernel_lib import jobs, oracle, oracle_enrichment, reference, topics
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings
from tests.services import enriching
from tests.services.enriching import Added, found


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    enriching.prepare(settings)


def expected(run: Producer, settings: Settings) -> Added:
    """Return what the versions that were valid at the events' times add."""
    merchants, users = (
        oracle_enrichment.versions(topics.read(name, settings=settings)) for name in ("merchants", "users")
    )
    rows = oracle_enrichment.enriched(oracle.replay(run), merchants, users)
    return sorted(rows.itertuples(index=False, name=None))


def test_each_payment_gets_the_versions_of_its_time(settings: Settings) -> None:
    """Fails when the versions are valid from another time, e.g. a second later, or unmatched payments are dropped."""
    run = enriching.send(settings)
    sent = oracle.replay(run)
    half, shop = int(sent["timeMs"].median()), sent["merchantId"].mode()[0]
    reference.change("merchants", shop, valid_from_ms=half, category="changed", settings=settings)
    for user in ("user-00001", "user-00002"):
        reference.change("users", user, valid_from_ms=half, tier="gold", city="Oslo", settings=settings)
    topics.write("users", b"not JSON", key=b"user-00003", settings=settings)
    jobs.submit("enrich_transactions", start="earliest", idle_timeout_seconds=600, settings=settings).drain()
    answer = found(settings)
    assert answer == expected(run, settings)
    assert {row[-1] for row in answer} == {True, False}
    assert 0 < sum(row[1] == "changed" for row in answer) < sent["merchantId"].value_counts()[shop]


def test_an_event_gets_the_version_of_its_time_in_whatever_order_they_arrive(settings: Settings) -> None:
    """Fails when the job takes the newest version that it knows, as enrich_by_broadcast does."""
    job = jobs.submit("enrich_transactions", idle_timeout_seconds=600, settings=settings).wait_running()
    found = enriching.categories_around_a_change(job, settings)
    assert found == {"from-before": "bakery", "from-after": "books"}
