import time

import pytest

from kernel_lib import indices
from kernel_lib.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CourseError,
    NotFound,
    PermissionRefused,
    ServiceUnavailable,
)
from kernel_lib.settings import Settings, load

MAPPING = {"userId": {"type": "keyword"}, "amount": {"type": "double"}}


@pytest.fixture
def alerts(settings: Settings) -> str:
    indices.put("alerts", MAPPING)
    return "alerts"


def write(settings: Settings, name: str, *documents: dict[str, object]) -> None:
    for document in documents:
        indices.client(settings).index(index=settings.index(name), document=document)


def test_an_index_is_made_once_and_then_gets_more_fields(settings: Settings) -> None:
    assert indices.put("alerts", MAPPING)
    assert not indices.put("alerts", MAPPING | {"page": {"type": "keyword"}})
    assert indices.list_names() == ["alerts"]


def test_an_index_has_no_replica_that_would_have_nowhere_to_live(settings: Settings, alerts: str) -> None:
    found = indices.client(settings).indices.get_settings(index=settings.index(alerts))
    assert found[settings.index(alerts)]["settings"]["index"]["number_of_replicas"] == "0"


def test_the_namespace_and_the_prefix_come_before_the_name(settings: Settings, alerts: str) -> None:
    names = indices.client(settings).indices.get(index=f"course-{settings.namespace}*")
    assert list(names) == [f"course-{settings.namespace}.alerts"]


def test_a_count_sees_what_was_written_just_now(settings: Settings, alerts: str) -> None:
    write(settings, alerts, {"userId": "ann"}, {"userId": "bob"})
    assert indices.count(alerts) == 2


def test_a_search_finds_sorts_and_aggregates(settings: Settings, alerts: str) -> None:
    write(settings, alerts, *({"userId": user, "amount": n} for n, user in enumerate(["ann", "bob", "ann"])))
    assert indices.count(alerts) == 3
    found = indices.search(
        alerts,
        {"term": {"userId": "ann"}},
        sort="amount:desc",
        size=1,
        aggregations={"most": {"max": {"field": "amount"}}},
    )
    assert found.total == 2
    assert found.documents == [{"userId": "ann", "amount": 2}]
    assert found.aggregations == {"most": {"value": 2.0}}


def test_a_search_without_a_query_finds_everything(settings: Settings, alerts: str) -> None:
    write(settings, alerts, {"userId": "ann"}, {"userId": "bob"})
    indices.count(alerts)
    assert indices.search(alerts).total == 2


def test_a_deleted_index_is_gone(alerts: str) -> None:
    indices.delete(alerts)
    assert indices.list_names() == []


def test_a_missing_index_is_not_found_by_its_full_name(settings: Settings) -> None:
    for call in (indices.count, indices.search, indices.delete):
        with pytest.raises(NotFound, match=settings.index("nowhere")):
            call("nowhere")


def test_a_query_that_elasticsearch_does_not_know_is_told_in_its_words(alerts: str) -> None:
    with pytest.raises(CourseError) as caught:
        indices.search(alerts, {"nonsense": {}})
    assert "unknown query [nonsense]" in caught.value.cause


def test_a_field_cannot_change_its_type(alerts: str) -> None:
    with pytest.raises(CourseError) as caught:
        indices.put(alerts, {"amount": {"type": "date"}})
    assert "cannot be changed" in caught.value.cause


def test_a_mapping_that_elasticsearch_refuses_makes_no_index(settings: Settings) -> None:
    with pytest.raises(CourseError, match="refused a request"):
        indices.put("alerts", {"amount": {"type": "money"}})
    assert indices.list_names() == []


def test_an_index_outside_the_prefix_is_refused(settings: Settings) -> None:
    outside = load(elasticsearch_index_prefix="other-")
    with pytest.raises(PermissionRefused, match="does not let course use index other-"):
        indices.put("alerts", MAPPING, settings=outside)


def test_a_wrong_password_is_told_as_such_and_not_shown(settings: Settings) -> None:
    with pytest.raises(AuthenticationFailed, match="Elasticsearch at http") as caught:
        indices.count("alerts", settings=load(elasticsearch_password="wrong-horse"))
    assert "ELASTICSEARCH_PASSWORD" in caught.value.remedy
    assert "wrong-horse" not in str(caught.value)


def test_elasticsearch_down_is_told_at_once_with_address_cause_and_next_command(
    settings: Settings, unused_port: int
) -> None:
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable) as caught:
        indices.count("alerts", settings=load(elasticsearch_url=f"http://127.0.0.1:{unused_port}"))
    assert time.monotonic() - started < 3
    assert str(caught.value).startswith(f"Elasticsearch at http://127.0.0.1:{unused_port} does not answer.\nCause: ")
    assert "Connection refused" in caught.value.cause
    assert caught.value.remedy == "./course status"


def test_an_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="ELASTICSEARCH_URL"):
        indices.count("alerts", settings=load(elasticsearch_url="cloud:9243"))
