import dataclasses
import json
from pathlib import Path

import pytest
import rich.console

from infra import gradebook
from infra.grading import Graded, Outcome

ANN = Graded("ann/05", "05_first_job", (Outcome("carts", "right", "All [b]33[/b]."),), (), 40, None)
BOB = Graded("bob/05", "05_first_job", (Outcome("carts", "not reached", "its end"),), ("the kernel\ndied",), 9, None)
CEM = Graded("cem/05", "", (), ("05.ipynb is not a notebook.",), 0, None)


def shown(*graded: Graded, width: int = 200) -> list[list[str]]:
    console = rich.console.Console(width=width)
    with console.capture() as caught:
        console.print(gradebook.table(graded))
    return [line.split() for line in caught.get().splitlines()]


def test_the_table_has_a_row_for_each_exercise_and_each_remark() -> None:
    lines = shown(ANN, BOB, CEM)[1:]
    assert lines == [
        ["ann/05", "05_first_job", "carts", "right", "All", "[b]33[/b]."],
        ["bob/05", "05_first_job", "carts", "not", "reached", "its", "end"],
        ["bob/05", "05_first_job", "the", "kernel", "died"],
        ["cem/05", "not", "graded", "05.ipynb", "is", "not", "a", "notebook."],
    ]


def test_in_a_narrow_window_names_are_whole() -> None:
    """Fails when the end of a name, by which they differ, gives way to an ellipsis."""
    long = dataclasses.replace(CEM, submission="learner-30-of-the-morning-class")
    assert (
        "".join(line[0] for line in shown(long, width=60)[1:] if line and line[0] in long.submission) == long.submission
    )


def class_of(many: int) -> list[Graded]:
    """Return a class: each has two exercises, in other states, with words that do not fit into a line."""
    states = ["right", "not yet", "not checked", "not reached"]
    return [
        Graded(
            f"learner-{number:02}/05",
            "05_first_job",
            tuple(Outcome(name, states[(number + n) % 4], "word " * 40) for n, name in enumerate(("carts", "sums"))),  # type: ignore[arg-type]
            (),
            40,
            None,
        )
        for number in range(1, many + 1)
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_a_class_of_thirty_is_one_table_in_order_at_any_width(width: int) -> None:
    graded = class_of(30)
    named = [line for line in shown(*graded, width=width) if line and line[0].startswith("learner-")]
    assert [line[0] for line in named] == [each.submission for each in graded for _ in each.outcomes]
    assert {line[2] for line in named} == {"carts", "sums"}


def test_json_has_one_object_for_each_submission() -> None:
    found = json.loads(gradebook.as_json([ANN, CEM]))
    assert [each["submission"] for each in found] == ["ann/05", "cem/05"]
    assert found[0]["outcomes"] == [{"exercise": "carts", "state": "right", "words": "All [b]33[/b]."}]


def test_the_page_links_to_executed_copies_and_runs_nothing_that_a_learner_wrote(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["hello\n", script]}
    copy = tmp_path / "eve.ipynb"
    copy.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    eve = Graded("eve/05", "05_first_job", (Outcome("carts", "right", script),), (), 1, copy)
    index = gradebook.write_page([ANN, eve], tmp_path / "page")
    text = index.read_text()
    assert '<a href="eve/05.html">eve/05</a>' in text
    assert script not in text
    body = (tmp_path / "page" / "eve" / "05.html").read_text()
    assert "hello" in body
    assert script not in body
