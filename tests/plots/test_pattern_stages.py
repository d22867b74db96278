import json

from kernel_lib.kafka_client import Record
from kernel_lib.plots import look, pattern_stages
from kernel_lib.plots.pattern_stages import BROKEN, MATCHED, TIMED_OUT, UNDER_WAY, Stage


def stage(number: int, outcome: str = UNDER_WAY, user: str = "user-1", pattern: str = "forced") -> Stage:
    return Stage(pattern, user, outcome, number, 5, "1970-01-01T00:00:09.500Z")


def test_stages_are_told_from_other_records_of_the_topic() -> None:
    fields = {name: getattr(stage(2), name) for name in Stage.__struct_fields__}
    values = [json.dumps(each).encode() for each in (fields, fields | {"outcome": "?"}, {"count": 3})]
    records = [Record("metrics", 0, 7, None, value, 5, "append") for value in [*values, b"no json"]]
    assert pattern_stages.stages(records) == [stage(2)]


def test_a_user_and_a_pattern_have_one_row_with_their_last_report() -> None:
    shown = pattern_stages.newest({}, [stage(1), stage(1, pattern="burst"), stage(2), stage(2, BROKEN)])
    assert list(shown.values()) == [stage(1, pattern="burst"), stage(2, BROKEN)]


def test_ended_attempts_make_room_first_and_then_the_oldest() -> None:
    before = pattern_stages.newest({}, [stage(1, user="a"), stage(5, MATCHED, user="b"), stage(1, user="c")])
    shown = pattern_stages.newest(before, [stage(1, user="d")], rows=3)
    assert [each.userId for each in shown.values()] == ["a", "c", "d"]
    shown = pattern_stages.newest(shown, [stage(1, user="e")], rows=3)
    assert [each.userId for each in shown.values()] == ["c", "d", "e"]


def test_reached_stages_are_filled_in_the_colour_of_the_outcome() -> None:
    columns = pattern_stages.circle_columns([stage(2), stage(5, MATCHED)])
    assert columns["fill"] == [0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0.9, 0.9, 0.9]
    assert columns["colour"] == [look.WARN] * 5 + [look.BAD] * 5
    assert pattern_stages.outcome_columns([stage(2), stage(5, MATCHED)])["text"] == ["under way", "matched"]


def test_the_sentence_says_what_goes_on_and_how_attempts_ended() -> None:
    assert pattern_stages.stages_sentence(1, []) == "1 attempt under way. None has ended in the last 60 s."
    ended = [stage(2, BROKEN), stage(5, MATCHED, user="user-7"), stage(3, TIMED_OUT), stage(1, BROKEN)]
    assert pattern_stages.stages_sentence(3, ended) == (
        "3 attempts under way. In the last 60 s: 1 matched, 2 broken, 1 timed out. "
        "The last match: forced by user-7, 5 stages."
    )
