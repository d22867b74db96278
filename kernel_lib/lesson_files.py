"""Own what stands in the files of the lessons: their names, titles, exercises and solutions.

>>> lesson_files.names()
('00_cockpit', '05_first_job')
>>> lesson_files.exercises("05_first_job")
('carts',)

A lesson is a notebook; a cell `check-carts` checks the exercise in the cell `exercise-carts`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kernel_lib.errors import NotFound

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SOLUTION_CELL = re.compile(r"^# %% (?P<id>[a-z0-9-]+)\n", re.MULTILINE)
LESSON = re.compile(r"\d\d_[a-z0-9_]+")
_CHECK = "check-"


def names() -> tuple[str, ...]:
    """Return the names of the lessons in order; a learner's own copies are none of them."""
    return tuple(path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if LESSON.fullmatch(path.stem))


def path(lesson: str) -> Path:
    """Return the notebook of a lesson; raises NotFound."""
    if lesson not in names():
        raise NotFound(f"There is no lesson {lesson!r}.", cause=f"there are {', '.join(names())}")
    return NOTEBOOKS / f"{lesson}.ipynb"


def title(lesson: str) -> str:
    """Return the heading of a lesson: "5 · The first job"; raises NotFound."""
    first = "".join(cells(lesson)[0]["source"])
    return first.partition("\n")[0].lstrip("# ")


def exercises(lesson: str) -> tuple[str, ...]:
    """Return the names of the checked exercises of a lesson, in order; raises NotFound."""
    return tuple(cell["id"].removeprefix(_CHECK) for cell in cells(lesson) if cell["id"].startswith(_CHECK))


def solutions(lesson: str) -> dict[str, str]:
    """Return the solution cells of a lesson by the ids of the cells that they replace; raises NotFound."""
    path = NOTEBOOKS / "solutions" / f"{lesson}.py"
    if not path.exists():
        raise NotFound(f"There are no solutions for {lesson!r}.", cause=f"{path.name} does not exist")
    parts = SOLUTION_CELL.split(path.read_text(encoding="utf-8"))
    return {id: source.strip() for id, source in zip(parts[1::2], parts[2::2], strict=True)}


def cells(lesson: str) -> list[dict[str, Any]]:
    """Return the cells of a lesson's notebook, in order; raises NotFound."""
    found: list[dict[str, Any]] = json.loads(path(lesson).read_text(encoding="utf-8"))["cells"]
    return found
