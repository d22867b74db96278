"""Show on the terminal what setting up does: one line a step, moving while it lasts, and left behind when it is done.

    >>> with steps.step("Java artifacts", total_bytes=150_000_000) as so_far:
    ...     so_far(75_000_000)
    >>> with steps.several(["kafka-1", "zookeeper"]) as show:
    ...     show("zookeeper", "healthy", done=True)

Where nobody looks (a file, a pipe), each line is written plainly: when it begins, and when it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

WIDTH = 22
"""Columns for what a line is about, so that bars and states stand below each other."""

console = Console(highlight=False, soft_wrap=True, stderr=True)


class Show(Protocol):
    """Tell the state of one of several things that go on side by side; `done`: it will not change any more."""

    def __call__(self, name: str, state: str, *, done: bool = False) -> None: ...


@contextmanager
def step(what: str, total_bytes: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show one step until the block ends; the caller says how many bytes are done, if their sum is known."""
    columns = (BarColumn(20), DownloadColumn(), TimeRemainingColumn(compact=True)) if total_bytes else ()
    began = time.monotonic()
    _plainly(f"{what} ...")
    with Progress(
        SpinnerColumn("line"), _Named, *columns, console=console, disable=not _seen(), transient=True
    ) as bars:
        bar = bars.add_task(what, total=total_bytes)
        yield lambda count: bars.update(bar, completed=min(count, total_bytes or count))
    size = f"{decimal(total_bytes)} in " if total_bytes else ""
    console.print(f"  {what:{WIDTH}} {size}{time.monotonic() - began:.0f} s")


@contextmanager
def several(names: Iterable[str]) -> Iterator[Show]:
    """Show a line for each of `names` until the block ends; the caller says the state of each."""
    began = time.monotonic()
    state = TextColumn("{task.fields[state]}")
    with Progress(
        SpinnerColumn("line", finished_text=" "), _Named, state, console=console, disable=not _seen()
    ) as bars:
        tasks = {name: bars.add_task(name, total=1, state="starting") for name in names}

        def show(name: str, state: str, *, done: bool = False) -> None:
            if done:
                state = f"{state} after {time.monotonic() - began:.0f} s"
                _plainly(f"  {name:{WIDTH}} {state}")
            bars.update(tasks[name], state=state, completed=int(done))

        yield show


_Named = TextColumn(f"{{task.description:{WIDTH}}}")


def _seen() -> bool:
    return console.is_terminal


def _plainly(line: str) -> None:
    if not _seen():
        console.print(line, markup=False)
