from pathlib import Path

from kernel_lib import topic_owners
from kernel_lib.owners import Owner


def test_a_note_says_whose_a_topic_is_until_it_is_forgotten(empty_home: Path) -> None:
    mine = Owner.this_process(lesson="05_first_job")
    topic_owners.note("ann.my-events", mine)
    topic_owners.note("results", Owner("kernel", "elsewhere", 1, "0"))
    assert topic_owners.owned() == {"ann.my-events": mine, "results": Owner("kernel", "elsewhere", 1, "0")}
    topic_owners.forget(["ann.my-events", "never-noted"])
    assert list(topic_owners.owned()) == ["results"]


def test_a_note_that_cannot_be_read_is_none(empty_home: Path) -> None:
    """Fails when it makes the topic an orphan, which would be deleted, or raises."""
    topic_owners.note("good", Owner.this_process())
    for name, text in {"empty": "", "torn": '{"kind": "ker', "other": "[1]", "stranger": '{"kind": "x"}'}.items():
        (empty_home / "data" / "topic-owners" / f"{name}.json").write_text(text)
    assert list(topic_owners.owned()) == ["good"]
