import time
from concurrent.futures import ThreadPoolExecutor

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


def test_documents_are_written_under_their_ids_and_replaced(settings: Settings, alerts: str) -> None:
    assert indices.write(alerts, [("a", b'{"userId":"ann"}'), ("b", b'{"userId":"bob"}')]) == []
    assert indices.write(alerts, [("b", b'{"userId":"ben"}')]) == []
    assert indices.count(alerts) == 2
    assert indices.search(alerts, {"ids": {"values": ["b"]}}).documents == [{"userId": "ben"}]


def test_of_documents_with_one_id_in_one_call_the_last_one_stays(alerts: str) -> None:
    """Fails when documents are shared out by their position: requests side by side end in any order."""
    ids = [str(n) for n in range(3_000)]
    first, last = b'{"userId":"ann"}', b'{"userId":"bob"}'
    indices.write(alerts, [*((name, first) for name in ids), *((name, last) for name in reversed(ids))])
    assert indices.count(alerts) == 3_000
    assert indices.search(alerts, {"term": {"userId": "bob"}}).total == 3_000


def test_who_reads_while_documents_are_written_side_by_side_finds_each_once(alerts: str) -> None:
    """Fails when a write is read before all writes before it have ended."""
    documents = [(str(n), b'{"userId":"%d"}' % n) for n in range(30_000)]
    seen, last, written = list[str](), -1, False
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(indices.write, alerts, documents)
        while not written:
            written = writing.done()
            for document in indices.written_after(alerts, last, "userId", size=10_000):
                seen.append(document.value)
                last = document.number
    while found := indices.written_after(alerts, last, "userId", size=10_000):
        seen += [document.value for document in found]
        last = found[-1].number
    assert sorted(seen) == sorted(name for name, _ in documents)


def test_a_document_that_is_refused_is_told_by_its_position_and_the_others_are_written(alerts: str) -> None:
    """Fails when positions start again with each of several requests."""
    large = b'{"userId":"%s"}' % (b" " * 30_000)
    documents = [(str(n), large) for n in range(200)] + [("bad", b'{"amount":"many"}'), ("cut", b'{"amount":1')]
    assert len(documents) * len(large) > indices.BULK_BYTES
    first, second = indices.write(alerts, documents)
    assert (first.position, second.position) == (200, 201)
    assert "failed to parse field [amount] of type [double]" in first.reason
    assert "Unexpected end of file" in second.reason
    assert indices.count(alerts) == 200


def test_documents_for_an_index_that_is_missing_are_not_refused_but_not_found(settings: Settings) -> None:
    with pytest.raises(NotFound, match=settings.index("nowhere")):
        indices.write("nowhere", [("a", b"{}")])


def test_documents_for_an_index_that_is_read_only_are_not_refused_but_may_be_written_later(
    settings: Settings, alerts: str
) -> None:
    """Fails when every status but 200 and 201 counts as the document's fault."""
    block = {"index.blocks.write": True}
    indices.client(settings).indices.put_settings(index=settings.index(alerts), settings=block)
    with pytest.raises(CourseError) as caught:
        indices.write(alerts, [("a", b"{}")])
    assert "index write (api)" in caught.value.cause


def test_what_is_no_json_object_is_an_error_of_the_whole_call(alerts: str) -> None:
    with pytest.raises(CourseError):
        indices.write(alerts, [("a", b"{}"), ("b", b"no object")])


def test_an_index_with_a_template_is_made_again_with_its_types_by_the_next_document(settings: Settings) -> None:
    strict = {"dynamic": "strict", "properties": MAPPING}
    assert indices.put_template("alerts", strict)
    assert not indices.put_template("alerts", strict)
    indices.delete("alerts")
    (refused,) = indices.write("alerts", [("a", b'{"userId":"ann"}'), ("b", b'{"colour":"red"}')])
    assert "dynamic introduction of [colour]" in refused.reason
    found = indices.client(settings).indices.get_settings(index=settings.index("alerts"))
    assert found[settings.index("alerts")]["settings"]["index"]["number_of_replicas"] == "0"


def test_without_its_template_a_deleted_index_stays_away() -> None:
    indices.put_template("alerts", {"properties": MAPPING})
    indices.delete_templates("alerts")
    indices.delete_templates("alerts")
    indices.delete("alerts")
    with pytest.raises(NotFound):
        indices.write("alerts", [("a", b"{}")])


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
    with pytest.raises(PermissionRefused):
        indices.write("alerts", [("a", b"{}")], settings=outside)


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
