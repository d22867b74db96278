"""What the checklists of CONTRIBUTING.md ask of jobs and lessons, where a file can be asked.

The answers to a lesson's exercises are counted in `test_written_answers.py`, its row in the README in `test_readme.py`.
"""

import ast
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.layout import CHECKOUT
from kernel_lib import jobs, lesson_files

Place = tuple[str, str]
"""A file, below `tests/services` or `infra/bench`, and what stands in it."""
# They are looked at in the file of another subject.
SERVICE_TESTS_ELSEWHERE: dict[str, Place] = {
    "filter_events": ("test_controls.py", 'JOB = "filter_events"'),
    "map_events": ("test_jobs.py", "map_events"),
}
KILLED_ELSEWHERE: dict[str, Place] = {
    # There also the JobManager and a broker are killed.
    "relay": ("test_exactness.py", 'jobs.submit("relay"'),
    "count_events": ("test_exactness.py", 'jobs.submit("count_events"'),
    # It keeps no state but its offsets, which are restored there.
    "map_events": ("test_job.py", "submit(settings, restore=job.stop_with_savepoint())"),
}
# They have goals, and are measured in several rounds; of filter_events how soon a knob holds.
MEASURED_ELSEWHERE: dict[str, Place] = {
    "relay": ("throughput.py", 'submit("relay"'),
    "count_events": ("throughput.py", 'submit("count_events"'),
    "map_events": ("throughput.py", "submit(longer"),
    "filter_events": ("latency.py", 'jobs.submit("filter_events"'),
}
# Its knobs are the buttons of the board, above the prediction.
TURNED_BY_HAND = ("00_cockpit",)
JOBS = [jobs.FUNCTION_JOB, *jobs.names()]
LESSONS = lesson_files.names()

Cell = dict[str, Any]


def text(*place: str) -> str:
    return CHECKOUT.joinpath(*place).read_text(encoding="utf-8")


def source(cell: Cell) -> str:
    return "".join(cell["source"])


# Jobs


def logic(job: str) -> list[str]:
    """Return the functions and classes of a job beside `build` and `main`."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in ast.parse(text("flink_jobs", f"{job}.py")).body if isinstance(node, kinds)]
    return [name for name in names if name not in ("build", "main")]


@pytest.mark.parametrize("job", JOBS)
def test_the_functions_of_a_job_have_unit_tests(job: str) -> None:
    """A job without any is SQL: what its expressions are made of is tested with `events`, the rest on the services."""
    assert not logic(job) or (CHECKOUT / "tests" / f"test_{job}.py").exists()


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_tested_on_the_services(job: str) -> None:
    file, said = SERVICE_TESTS_ELSEWHERE.get(job, (f"test_{job}.py", f'"{job}"'))
    assert said in text("tests", "services", file)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_goes_through_a_kill_and_a_savepoint(job: str) -> None:
    file, said = KILLED_ELSEWHERE.get(job, ("test_every_job.py", f'    Case(\n        "{job}",'))
    assert said in text("tests", "services", file)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_measured(job: str) -> None:
    file, said = MEASURED_ELSEWHERE.get(job, ("course_jobs.py", f'    Case("{job}", '))
    assert said in text("infra", "bench", file)


# Lessons


def code(pattern: str) -> Callable[[Cell], bool]:
    """Return whether a cell is code in which something stands."""
    return lambda cell: cell["cell_type"] == "code" and bool(re.search(pattern, source(cell)))


def words(pattern: str) -> Callable[[Cell], bool]:
    """Return whether a cell is text in which something stands."""
    return lambda cell: cell["cell_type"] == "markdown" and bool(re.search(pattern, source(cell), re.DOTALL))


BONES: dict[str, Callable[[Cell], bool]] = {
    "the title, what you will see, and the minutes": words(r"^# \d+ · .*\*\*You will see\*\*.*\*\*\d+ minutes\.\*\*"),
    "the parameters": lambda cell: "parameters" in cell["metadata"].get("tags", ()),
    "the finished picture": code(r"plots\.[A-Z]"),
    "a prediction": code(r"^lessons\.predict\("),
    "a knob, turned in code": code(r"\.control\.value = |\.set\(|\.press\("),
    "the explanation": lambda cell: cell["id"].startswith("explain-"),
    "a quiz": code(r"^lessons\.quiz\("),
    "the exercise in words": words(r"^## Exercise: "),
    "the exercise": lambda cell: cell["id"].startswith("exercise-"),
    "its check": lambda cell: cell["id"].startswith("check-"),
    "its hints": code(r"^lessons\.hints\("),
    "the discussion, with a line for the instructor": words(r"^## Discussion\n.*\n\*For the instructor: \d+ minutes\."),
    "the closing button": code(r"^lessons\.closing\("),
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_its_bones_in_order(lesson: str) -> None:
    bones = {name: fits for name, fits in BONES.items() if "knob" not in name or lesson not in TURNED_BY_HAND}
    rest = iter(lesson_files.cells(lesson))
    assert [name for name, fits in bones.items() if not any(fits(cell) for cell in rest)] == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_a_prediction_two_to_four_quizzes_and_knobs(lesson: str) -> None:
    counts = {name: sum(map(code(pattern), lesson_files.cells(lesson))) for name, pattern in COUNTED.items()}
    assert counts["predictions"] >= 1
    assert 2 <= counts["quizzes"] <= 4
    assert counts["knobs"] >= 1


COUNTED = {"predictions": r"^lessons\.predict\(", "quizzes": r"^lessons\.quiz\(", "knobs": r"\bknobs\."}


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_exercise_has_a_solution_and_hints(lesson: str) -> None:
    ids = {cell["id"] for cell in lesson_files.cells(lesson)}
    exercises = lesson_files.exercises(lesson)
    assert exercises
    assert {f"exercise-{name}" for name in exercises} == set(lesson_files.solutions(lesson))
    assert {f"{kind}-{name}" for kind in ("exercise", "hints") for name in exercises} <= ids


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_discussion_links_to_the_documentation_of_a_version(lesson: str) -> None:
    [discussion] = [source(cell) for cell in lesson_files.cells(lesson) if cell["id"] == "discussion"]
    links = re.findall(r"\[([^\]]+)\]\((https://[^)]+)\)", discussion)
    assert links
    assert not [name for name, _ in links if not re.match(r"(Flink|Kafka|Elasticsearch) \d+\.\d+: ", name)]
