"""Own what a lesson asks: predict, quiz, exercise; and where its solutions are kept.

All are plain widgets that also answer to a call, so that a headless run and a keyboard reach the same thing.

    >>> guess = lessons.predict("What will the line do?", ["rise at once", "rise after a second"])
    >>> guess.answer("rise after a second")
    >>> lessons.check(checker)                         # the checker returns lessons.right(...) or lessons.not_yet(...)
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import ipywidgets as widgets

from kernel_lib import jobs, knobs
from kernel_lib.errors import CourseError, NotFound, ServiceUnavailable

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SOLUTION_CELL = re.compile(r"^# %% (?P<id>[a-z0-9-]+)\n", re.MULTILINE)
MARKS = {
    "right": ("✔ right", "#009E73"),
    "not yet": ("✘ not yet", "#D55E00"),
    "not checked": ("? not checked", "#8a8f98"),
}


@dataclass(frozen=True)
class Verdict:
    """What a checker found, in words."""

    state: Literal["right", "not yet", "not checked"]
    words: str

    def __repr__(self) -> str:
        return f"{MARKS[self.state][0]}: {self.words}"

    def _repr_html_(self) -> str:
        return words_html(self.words, *MARKS[self.state])


def right(words: str) -> Verdict:
    """Return the verdict that ends an exercise."""
    return Verdict("right", words)


def not_yet(words: str, *, look_at: str = "") -> Verdict:
    """Return the verdict that says what is wrong and what to look at."""
    return Verdict("not yet", f"{words} Look at: {look_at}." if look_at else words)


def check(checker: Callable[[], Verdict]) -> Verdict:
    """Run a checker; a service that is down or a job that failed becomes a verdict in words, not an error."""
    try:
        return checker()
    except ServiceUnavailable as error:
        return Verdict("not checked", f"your answer was not judged: {_one_line(error)}")
    except CourseError as error:
        return not_yet(_one_line(error))


def words_html(words: str, mark: str = "", colour: str = "") -> str:
    """Return words with an optional coloured mark before them, in the colours of the Lab's theme."""
    lead = f'<b style="color:{colour}">{escape(mark)}</b> ' if mark else ""
    return (
        '<div role="status" aria-live="polite" style="max-width:900px;line-height:1.45;'
        f'color:var(--jp-ui-font-color1)">{lead}{escape(words)}</div>'
    )


class Choice:
    """A question with one choice, a button to commit to it, and a line that answers."""

    def __init__(
        self, question: str, options: Sequence[str], button: str, respond: Callable[[str], Verdict | str]
    ) -> None:
        self.options = tuple(options)
        self.answered: str | None = None
        self.response = ""
        self._respond = respond
        self._pick = widgets.RadioButtons(options=self.options, value=None, layout=widgets.Layout(width="max-content"))
        self._button = widgets.Button(description=button)
        self._button.on_click(lambda _: self._committed())
        self._line = widgets.HTML(words_html("Choose, then press the button."))
        self.widget = widgets.VBox([widgets.HTML(f"<b>{escape(question)}</b>"), self._pick, self._button, self._line])
        self.widget.add_class("course-question")

    def answer(self, option: str | int) -> None:
        """Choose an option, by its words or its number from 1, and commit to it."""
        self._pick.value = self.options[option - 1] if isinstance(option, int) else option
        self._committed()

    def _committed(self) -> None:
        if self._pick.value is None:
            return
        self.answered = self._pick.value
        response = self._respond(self._pick.value)
        self.response = repr(response) if isinstance(response, Verdict) else response
        self._line.value = response._repr_html_() if isinstance(response, Verdict) else words_html(response)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return self.response or f"not answered yet: {' / '.join(self.options)}"


def predict(question: str, options: Sequence[str]) -> Choice:
    """Ask for a prediction; there is no verdict, because the picture gives it."""

    def respond(option: str) -> str:
        return f"You say: {option}. Now turn the knob and see."

    return Choice(question, options, "I commit to it", respond)


def quiz(question: str, options: Mapping[str, str], *, answer: str) -> Choice:
    """Ask a question; `options` maps each option to why it is right or wrong, `answer` is the right one."""
    if answer not in options:
        raise NotFound(f"The answer {answer!r} is not among the options of {question!r}.")

    def respond(option: str) -> Verdict:
        return Verdict("right" if option == answer else "not yet", options[option])

    return Choice(question, list(options), "check", respond)


def closing(label: str, function: Callable[[], object]) -> knobs.Buttons:
    """Return the button that ends a lesson; a kernel that shuts down before it is pressed cancels its jobs."""
    atexit.register(_cancel_own_jobs)
    return knobs.Buttons({label: function})


def _cancel_own_jobs() -> None:
    with suppress(CourseError):  # a cluster that is down has no job to cancel
        for job in jobs.running():
            owner = job.owner()
            if owner and owner.kind == "kernel" and owner.pid == os.getpid():
                job.cancel()


def solutions(lesson: str) -> dict[str, str]:
    """Return the solution cells of a lesson ("05_first_job") by the ids of the cells they replace."""
    path = NOTEBOOKS / "solutions" / f"{lesson}.py"
    if not path.exists():
        raise NotFound(f"There are no solutions for {lesson!r}.", cause=f"{path.name} does not exist")
    parts = SOLUTION_CELL.split(path.read_text(encoding="utf-8"))
    return {id: source.strip() for id, source in zip(parts[1::2], parts[2::2], strict=True)}


def _one_line(error: CourseError) -> str:
    return " ".join(str(error).split())
