"""Own what all views share: a heading with its state, the picture, and a line of text that says the same.

A view has `source` (the columns that are drawn), `root` (the Bokeh model or widget), `update()` (called by the
refresher) and `text` (its twin in words). Making a view shows it live; making another of the same name closes it.
What it reads is its own and ends with it; a source of several views ends with the last of them.

    class Rates(View):
        def draw(self) -> str: ...        # put new columns into self.source, return the sentence
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from bokeh.models import ColumnDataSource, LayoutDOM

from kernel_lib import live
from kernel_lib.plots import look, refresher
from kernel_lib.plots.canvas import Canvas

TEXT_EVERY_SECONDS = 2.0
STALE_SECONDS = 6.0
MOST_PIXELS = 1100


class View(ABC):
    """A live picture: shown by being the last value of a cell."""

    root: Any
    source: Any

    def __init__(
        self,
        root: LayoutDOM | widgets.Widget,
        source: ColumnDataSource,
        *,
        title: str,
        name: str,
        reads: Sequence[live.Stoppable] = (),
        above: widgets.Widget | None = None,
    ) -> None:
        """Show `root` under its heading and, if there is one, under the widget `above`, its figures say.

        `reads` are the sources that the view draws.
        """
        self.root, self.source, self.title, self.name = root, source, title, name
        self.text = "no data yet"
        self.quiet_because = ""
        self._closed = False
        self._text_due = 0.0
        self._heading = widgets.HTML()
        self._line = widgets.HTML()
        self._canvas = Canvas(root) if isinstance(root, LayoutDOM) else None
        picture = self._canvas or root
        layout = widgets.Layout(max_width=f"{MOST_PIXELS}px")
        self.widget = widgets.VBox([self._heading, *([above] if above else []), picture, self._line], layout=layout)
        self.widget.add_class("course-view")
        self._hold(*reads)  # before a view of the same name lets go of them
        refresher.add(name, self)

    @abstractmethod
    def draw(self) -> str:
        """Bring `source` up to date and return the sentence that says what the picture shows.

        Sets `quiet_because` to the reason when there is nothing new to show, to "" when there is.
        """

    def update(self) -> None:
        """Redraw; the refresher calls this several times a second."""
        if self._closed:
            return
        was_quiet = bool(self.quiet_because)
        self.text = " ".join(filter(None, [self.draw(), *self._gaps()]))
        if self._canvas is not None:
            self._canvas.flush()
        if bool(self.quiet_because) != was_quiet or time.monotonic() >= self._text_due:
            self._text_due = time.monotonic() + TEXT_EVERY_SECONDS
            self._say()

    def broke(self, error: BaseException) -> None:
        """Say that the view ended with an error of its own; the refresher has let go of it."""
        self.quiet_because = f"this view stopped with {type(error).__name__}: {live.in_one_line(error)}"
        self.text = self.quiet_because
        self._say()
        self._end()

    def close(self) -> None:
        """Stop redrawing and reading; the last picture stays on the page and says that it is closed."""
        if self._closed:
            return
        self._end()
        self._heading.value = heading(self.title, "closed", look.QUIET)
        self._line.value = twin(self.text)

    def _gaps(self) -> list[str]:
        """Say of each source what it has passed over: the picture shows a sample."""
        return [source.gap for source in self._sources if isinstance(source, live.Samples)]

    def _hold(self, *sources: live.Stoppable) -> None:
        """Draw these sources from now on, and stop those before unless another view draws them."""
        with refresher.lock:
            self._sources = sources
            live.hold(self, *sources)
            if self._closed:
                live.hold(self)

    def _end(self) -> None:
        with refresher.lock:
            self._closed = True
            live.hold(self)

    def _say(self) -> None:
        state, colour = ("no data", look.BAD) if self.quiet_because else ("live", look.GOOD)
        self._heading.value = heading(self.title, state, colour)
        self._line.value = twin(self.text)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"


def heading(title: str, state: str, colour: str) -> str:
    """Return the HTML of a view's first line: its title, and its state as a word with a colour."""
    return (
        '<div style="display:flex;justify-content:space-between;align-items:baseline;'
        'color:var(--jp-ui-font-color1)">'
        f'<span style="font-size:15px;font-weight:600">{escape(title)}</span>'
        f'<span style="font-size:12px"><span style="color:{colour}">●</span> {escape(state)}</span></div>'
    )


def twin(text: str) -> str:
    """Return the HTML of the line of text under a picture."""
    # Room for two lines: a page whose pictures jump whenever a sentence grows cannot be read.
    return (
        '<div role="status" aria-live="polite" class="course-twin" style="line-height:1.4;'
        "min-height:2.8em;"
        f'font-size:13px;color:var(--jp-ui-font-color2)">{escape(text)}</div>'
    )


def no_data_since(last_at: float | None, because: str) -> str:
    """Return the sentence for a picture that stands still."""
    reason = f" because {because.rstrip('.')}" if because else ""
    if last_at is None:
        return f"No data yet{reason}."
    return f"No data since {live.clock_time(last_at)} ({time.time() - last_at:.0f} s ago){reason}."


def read_ago(at: float, now: float) -> str:
    """Return how long before `now` a figure was read `at` (both epoch s), in words."""
    return f"read {max(0.0, now - at):.1f} s ago"


def stale_because(poller: live.Poller[Any]) -> str:
    """Return why the last answer of a poller is too old to be drawn as live; "" while it is not."""
    if time.time() - (poller.answered_at or poller.begun_at) > STALE_SECONDS:
        return poller.problem or "the last question is still without an answer"
    return poller.problem if poller.answered_at is None else ""


def first_reason(*reasons: str | Callable[[], str]) -> str:
    """Return the first reason that is not empty, asking those that are functions."""
    for reason in reasons:
        words = reason() if callable(reason) else reason
        if words:
            return words
    return ""
