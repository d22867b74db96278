from flink_jobs.index_events import Event, document, sorted_out


def test_a_document_s_id_is_the_event_s_own_or_else_its_place() -> None:
    named = Event(2, 7, '{"eventId": "r-1"}')
    assert document("user-events", named) == ("r-1", named.value)
    assert document("user-events", Event(2, 7, '{"eventId": "a\\"b"}'))[0] == "user-events-2-7"
    assert document("user-events", Event(2, 7, "{}"))[0] == "user-events-2-7"


def test_what_would_spoil_a_whole_request_is_sorted_out() -> None:
    good, spoilt = Event(0, 1, "{}"), Event(0, 2, "{} and more")
    assert sorted_out([good, spoilt]) == ([good], [(spoilt, "Extra data: line 1 column 4 (char 3)")])
