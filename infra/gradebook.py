"""Show what notebooks are worth: as a table in the terminal, as JSON, and as a page with the executed copies.

>>> gradebook.write_page(graded, Path("graded-pages"))
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbconvert
import nbformat
import rich.console
import rich.markup
import rich.table

from infra import grading
from infra.grading import Graded
from infra.headless import Limits
from infra.layout import Layout
from infra.render import filled

COLOURS = {"right": "green", "not yet": "yellow", "not checked": "red", "not reached": "red"}
NOT_GRADED = "not graded"
"""What stands in the place of a verdict when a file is no notebook of the course."""


console = rich.console.Console(highlight=False, soft_wrap=True)


def run(paths: Sequence[Path], where: Layout, limits: Limits, *, json_file: Path | None, folder: Path | None) -> int:
    """Grade notebooks, print the table, write what is asked for; return 0 when all could be graded, else 1.

    What was graded before an error or an interrupt is told all the same.
    """
    copies = where.home / "graded"
    graded: list[Graded] = []
    try:
        for each in grading.grade(paths, where, copies=copies, limits=limits):
            graded.append(each)
            console.print(f"{each.submission}: {_in_short(each)} ({each.seconds} s)", markup=False)
    finally:
        console.print(table(graded))
        console.print(f"Executed copies: {copies}")
        if json_file:
            json_file.write_text(as_json(graded), encoding="utf-8")
        if folder:
            console.print(f"Page of results: {write_page(graded, folder)}")
    return 0 if all(each.could_be_graded for each in graded) else 1


def _in_short(graded: Graded) -> str:
    return ", ".join(f"{each.exercise} {each.state}" for each in graded.outcomes) or NOT_GRADED


def table(graded: Iterable[Graded]) -> rich.table.Table:
    """Return a row for each exercise of each submission; remarks stand below them."""
    whole_name = rich.table.Column("submission", overflow="fold")
    drawn = rich.table.Table(whole_name, "lesson", "exercise", "result", "in words", box=None)
    for each in graded:
        for row in rows(each):
            colour = COLOURS.get(row[3], "red")
            submission, lesson, exercise, state, words = map(rich.markup.escape, row)
            drawn.add_row(submission, lesson, exercise, f"[{colour}]{state}[/]", words)
    return drawn


def rows(graded: Graded) -> list[tuple[str, str, str, str, str]]:
    """Return submission, lesson, exercise, state and words of each exercise, and the remarks below them."""
    name = graded.submission
    judged = [(name, graded.lesson, each.exercise, each.state, each.words) for each in graded.outcomes]
    state = "" if judged else NOT_GRADED
    return judged + [(name, graded.lesson, "", state, " ".join(remark.split())) for remark in graded.remarks]


def as_json(graded: Sequence[Graded]) -> str:
    """Return a list of objects, one a submission."""
    return json.dumps([dataclasses.asdict(each) for each in graded], indent=1, ensure_ascii=False, default=str) + "\n"


def write_page(graded: Sequence[Graded], folder: Path) -> Path:
    """Write `index.html` with the table, and each executed copy as a page that it links to; return the index."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [(row, each.copy and f"{each.submission}.html") for each in graded for row in rows(each)]
    for each in graded:
        if each.copy:
            _write_copy(each.copy, folder / f"{each.submission}.html")
    index = folder / "index.html"
    index.write_text(filled("grades.html", lines=lines), encoding="utf-8")
    return index


def _write_copy(copy: Path, target: Path) -> None:
    notebook = nbformat.reads(copy.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    # What a learner wrote is shown, not run, in the browser of whoever grades.
    exporter = nbconvert.HTMLExporter(sanitize_html=True)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(body, encoding="utf-8")
