"""Read the answers of `tests/answers`: for each exercise wrong and right ones, with the words that the checker says.

A file is named as its lesson and consists of cells: a head, then what stands in the place of the learner's cell.

    # %% exercise-carts not yet: A result lacks milliseconds
    # %% exercise-carts right: carts and purchases came out of the topic as they should
"""

import re
from dataclasses import dataclass

from infra.layout import CHECKOUT

FOLDER = CHECKOUT / "tests" / "answers"
HEAD = re.compile(r"^# %% (exercise-[a-z0-9-]+) (right|not yet): (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """The source of an exercise's cell, the verdict that it gets, and a part of its words."""

    cell: str
    state: str
    words: str
    source: str


def to(lesson: str) -> list[Answer]:
    """Return the answers to a lesson's exercises, in the order of the file."""
    parts = HEAD.split((FOLDER / f"{lesson}.py").read_text(encoding="utf-8"))
    heads = zip(parts[1::4], parts[2::4], parts[3::4], strict=True)
    return [Answer(*head, source.strip()) for head, source in zip(heads, parts[4::4], strict=True)]
