import json
from types import SimpleNamespace
from typing import Any, cast

from kernel_lib.kafka_client import Record
from kernel_lib.plots import key_groups, look, refresher
from kernel_lib.plots.key_groups import Group, KeyGroups, Report
from tests.plots.drawn import missing_columns

PLACES = {0: "flink-taskmanager-1", 1: "flink-taskmanager-2"}


def report(group: int, subtask: int, second: int, users: int = 2, parallelism: int = 2) -> Report:
    return Report(f"1970-01-01T00:00:{second:02}.000Z", group, subtask, parallelism, users, users + 3, 3)


def known(*reports: Report) -> dict[int, Group]:
    return key_groups.brought_up_to_date({}, reports)


def test_reports_are_read_and_other_records_passed_over() -> None:
    fields = {name: getattr(report(7, 0, 1), name) for name in Report.__struct_fields__}
    values = [json.dumps(fields).encode(), b"no json", b"{}", b'{"eventType": "view", "count": 3}']
    records = [Record("metrics", 0, 7, None, value, 5, "append") for value in values]
    assert key_groups.reports(records) == [report(7, 0, 1)]


def test_the_later_report_of_a_group_counts_and_another_subtask_is_a_move() -> None:
    groups = known(report(7, 0, 1), report(8, 0, 1))
    groups = key_groups.brought_up_to_date(groups, [report(7, 1, 3), report(7, 0, 2), report(8, 0, 3, users=5)])
    assert groups[7] == Group(report(7, 1, 3), 3.0, 3.0)
    assert groups[8] == Group(report(8, 0, 3, users=5), 3.0, None)


def test_a_bar_stands_in_the_row_of_its_subtask_and_is_orange_while_it_has_just_moved() -> None:
    groups = key_groups.brought_up_to_date(known(report(7, 0, 1)), [report(7, 1, 2), report(8, 0, 2, users=4)])
    columns = key_groups.bar_columns(list(groups.values()), now=5.0)
    assert columns["group"] == [7, 8]
    assert (columns["top"] - columns["bottom"]).round(2).tolist() == [0.4, 0.8]
    assert columns["bottom"].round(2).tolist() == [0.58, -0.42]
    assert columns["colour"] == [look.WARN, look.PALETTE[0]]
    assert key_groups.bar_columns(list(groups.values()), now=50.0)["colour"] == 2 * [look.PALETTE[0]]


def test_the_sentence_says_who_holds_what_and_what_moved() -> None:
    groups = list(known(report(7, 0, 1), report(100, 0, 1, users=1)).values())
    assert key_groups.key_groups_sentence(groups, groups) == (
        "3 keys in 2 key groups: 3 in subtask 0 (groups 7 to 100). Created 9, expired 6."
    )
    moved = list(key_groups.brought_up_to_date(dict(enumerate(groups)), []).values())
    moved[1] = Group(report(100, 1, 5, users=1), 5.0, 5.0)
    assert key_groups.key_groups_sentence(moved, moved) == (
        "3 keys in 2 key groups: 2 in subtask 0 (groups 7 to 7), 1 in subtask 1 (groups 100 to 100). "
        "Created 9, expired 6. 1 group moved at 00:00:05 UTC."
    )
    assert key_groups.key_groups_sentence(groups, []) == "No keys are held."


def test_the_sentence_says_which_taskmanager_holds_how_many_key_groups() -> None:
    groups = list(known(report(7, 0, 1), report(8, 0, 1), report(100, 1, 1)).values())
    assert key_groups.key_groups_sentence(groups, groups, PLACES) == (
        "6 keys in 3 key groups: 4 in subtask 0 on flink-taskmanager-1 (groups 7 to 8), "
        "2 in subtask 1 on flink-taskmanager-2 (groups 100 to 100). "
        "flink-taskmanager-1 holds 2 key groups, flink-taskmanager-2 1. Created 15, expired 9."
    )
    both = dict.fromkeys(PLACES, "flink-taskmanager-1")
    assert "flink-taskmanager-1 holds 3 key groups. " in key_groups.key_groups_sentence(groups, groups, both)


def test_a_subtask_that_flink_does_not_place_is_on_no_known_taskmanager() -> None:
    groups = list(known(report(7, 0, 1), report(100, 1, 1)).values())
    sentence = key_groups.key_groups_sentence(groups, groups, {0: "flink-taskmanager-1"})
    assert "2 in subtask 1 on no known TaskManager (groups" in sentence
    assert "flink-taskmanager-1 holds 1 key group, no known TaskManager 1." in sentence


def test_rows_and_hover_name_the_taskmanager_only_where_it_is_asked_for() -> None:
    groups = list(known(report(7, 0, 1)).values())
    assert key_groups.row_names(2, None) == ["subtask 0", "subtask 1"]
    assert key_groups.row_names(2, PLACES) == ["subtask 0\nflink-taskmanager-1", "subtask 1\nflink-taskmanager-2"]
    assert key_groups.bar_columns(groups, now=5.0)["holder"] == ["subtask 0"]
    assert key_groups.bar_columns(groups, 5.0, PLACES)["holder"] == ["subtask 0 on flink-taskmanager-1"]


def test_every_column_that_is_drawn_is_there() -> None:
    tail = SimpleNamespace(topic="metrics", problem="", poll=list, stop=int)
    view = KeyGroups(cast(Any, tail), name="key groups of a test")
    assert missing_columns(view.root) == set()
    refresher.remove("key groups of a test")
