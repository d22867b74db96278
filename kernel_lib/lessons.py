"""Own what a lesson asks: predict, quiz, exercise, hints.

All are plain widgets that also answer to a call, so that a headless run and a keyboard reach the same thing.

    >>> guess = lessons.predict("What will the line do?", ["rise at once", "rise after a second"])
    >>> guess.answer("rise after a second")
    >>> lessons.hints("05_first_job", "carts", "None drops an event.", "round() makes a whole number.")
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Literal

import ipywidgets as widgets

from kernel_lib import cluster, jobs, knobs, lesson_files, live, plots, progress, topics
from kernel_lib.errors import CourseError, JobFailed, NoFreeSlots, NotFound
from kernel_lib.waiting import at_most

MARKS = {
    "right": ("✔ right", "#009E73"),
    "not yet": ("✘ not yet", "#D55E00"),
    "not checked": ("? not checked", "#8a8f98"),
}

CHECK_SECONDS = 90.0
"""Less than a cell may take when notebooks are graded, so that the verdict is still heard."""
CHECK_AGAIN = "./course status, and check again when the services have time for it"

_closings: list[tuple[knobs.Buttons, str]] = []


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


def not_checked(why: str, *, remedy: str = "") -> Verdict:
    """Return the verdict when not the answer, but what it is judged with, is to blame."""
    return Verdict("not checked", f"your answer was not judged: {why} Try: {remedy or CHECK_AGAIN}")


def check(checker: Callable[[], Verdict], *, lesson: str, exercise: str, seconds: float = CHECK_SECONDS) -> Verdict:
    """Run a checker and note in the learner's progress that an exercise is right.

    A job that failed is "not yet": it ran what the learner gave it. A service that is down or slow, also when all waits
    together took longer than `seconds`, a cluster without room or without Python leaves the answer unchecked; so does
    all else that is not the learner's. Raises ConfigurationError as `progress.note` does.
    """
    try:
        with at_most(seconds):
            verdict = checker()
    except CourseError as error:
        if _is_the_learner_s(error):
            return not_yet(_one_line(str(error)))
        why = f"{error.what} Cause: {error.cause}" if error.cause else error.what
        return not_checked(_one_line(why), remedy=error.remedy)
    if verdict.state == "right":
        progress.note(lesson, exercise)
    return verdict


def _is_the_learner_s(error: CourseError) -> bool:
    if isinstance(error, NoFreeSlots) or error.cause == cluster.NO_PYTHON:
        return False
    return isinstance(error, JobFailed)


def words_html(words: str, mark: str = "", colour: str = "") -> str:
    """Return words with an optional coloured mark before them, in the colours of the Lab's theme."""
    sign, _, word = escape(mark).partition(" ")
    lead = f'<b><span style="color:{colour}">{sign}</span> {word}</b> ' if mark else ""
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
        return f"You say: {option}. Now try it and see."

    return Choice(question, options, "I commit to it", respond)


def quiz(question: str, options: Mapping[str, str], *, answer: str) -> Choice:
    """Ask a question; `options` maps each option to why it is right or wrong, `answer` is the right one.

    Raises NotFound for an answer that is no option.
    """
    if answer not in options:
        raise NotFound(f"The answer {answer!r} is not among the options of {question!r}.")

    def respond(option: str) -> Verdict:
        return Verdict("right" if option == answer else "not yet", options[option])

    return Choice(question, list(options), "check", respond)


class Hints:
    """Help with an exercise, a step at a time: each press shows one more hint, the last the solution."""

    def __init__(self, words: Sequence[str], solution: str) -> None:
        self._left = [(f"Hint {number} of {len(words)}: {each}", "") for number, each in enumerate(words, 1)]
        self._left.append(("One solution, among others:", solution))
        self._given: list[tuple[str, str]] = []
        self._button = widgets.Button(layout=widgets.Layout(width="max-content"))
        self._button.on_click(lambda _: self.more())
        self._lines = widgets.HTML()
        self.widget = widgets.VBox([self._button, self._lines])
        self.widget.add_class("course-hints")
        self._show()

    def more(self) -> str:
        """Show the next hint, or the solution after the last one, and return what is shown now."""
        if self._left:
            self._given.append(self._left.pop(0))
            self._show()
        return repr(self)

    def _show(self) -> None:
        self._button.disabled = not self._left
        self._button.description = self._next()
        self._lines.value = "".join(
            words_html(words) + (f"<pre>{escape(code)}</pre>" if code else "") for words, code in self._given
        )

    def _next(self) -> str:
        match len(self._left):
            case 0:
                return "that was all"
            case 1:
                return "show a solution"
            case _:
                return "another hint" if self._given else "a hint"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        shown = [f"{words}\n{code}" if code else words for words, code in self._given]
        return "\n".join(shown) or f"{len(self._left) - 1} hints and a solution are here when you want them"


def hints(lesson: str, exercise: str, *words: str) -> Hints:
    """Offer hints to an exercise, from the vaguest to the plainest, and in the end its solution; raises NotFound."""
    solutions = lesson_files.solutions(lesson)
    if f"exercise-{exercise}" not in solutions:
        raise NotFound(f"{lesson} has no solution of {exercise!r}.", cause=f"it has {', '.join(solutions)}")
    return Hints(words, solutions[f"exercise-{exercise}"])


def closing(label: str, function: Callable[[], object]) -> knobs.Buttons:
    """Return the button that ends a lesson: it calls `function`, then closes all pictures, knobs and live sources.

    The topics that this kernel made for itself are deleted then. A kernel that shuts down before it is pressed cancels
    its jobs.
    """
    atexit.register(_cancel_own_jobs)
    _closings.append((knobs.Buttons({label: partial(_end, function)}), label))
    return _closings[-1][0]


def _end(function: Callable[[], object]) -> object:
    outcome = function()
    plots.stop()
    live.stop_all()
    topics.delete_own()
    return outcome


def close() -> object:
    """Press the button that ends the lesson of this kernel, wait, and return what came of it or raise what it raised.

    So a headless run leaves the services as it found them. Raises NotFound in a notebook without such a button.
    """
    if not _closings:
        raise NotFound("This lesson has no closing button.", remedy='lessons.closing("leave", function)')
    buttons, label = _closings[-1]
    return buttons.press(label).result()


def _cancel_own_jobs() -> None:
    with suppress(CourseError):  # a cluster that is down has no job to cancel
        for job in jobs.running():
            owner = job.owner()
            if owner and owner.kind == "kernel" and owner.pid == os.getpid():
                job.cancel()


def _one_line(words: str) -> str:
    return " ".join(words.split())
