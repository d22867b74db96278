"""An instructor grades a folder of submissions, good and bad, and nothing of them is left on the services."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra import gradebook, learners, provision
from infra.credentials import credentials
from infra.headless import Limits
from infra.layout import layout
from kernel_lib import lesson_files, services, settings, topics

LESSON = "05_first_job"
NEEDED = ("title", "imports", "exercise-carts", "check-carts")
SOLUTION = lesson_files.solutions(LESSON)["exercise-carts"]
ENDLESS = """
from kernel_lib import services

services.kill("flink-taskmanager-2")
while True:
    pass
"""
PATCHED = """
exercises.carts_and_purchases = lambda function: lessons.right("trust me")
carts_and_purchases = None
"""


def submitted(path: Path, *, without: str = "", **sources: str) -> None:
    """Write the cells of the lesson that its exercise needs, some with another source."""
    cells = [cell for cell in lesson_files.cells(LESSON) if cell["id"] in NEEDED and cell["id"] != without]
    changed = [cell | {"source": sources.get(cell["id"].partition("-")[0], cell["source"])} for cell in cells]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"cells": changed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submissions")
    submitted(folder / "ann" / "homework.ipynb", exercise=SOLUTION)
    submitted(folder / "bob" / "05.ipynb", check="print('✔ right: all of it')\nlessons.right('all of it')")
    (folder / "cem").mkdir()
    (folder / "cem" / "05.ipynb").write_text('{"cells": [')
    submitted(folder / "eve" / "05.ipynb", exercise=PATCHED)
    submitted(folder / "fay" / "05.ipynb", exercise="def carts_and_purchases(event)\n    return event")
    return folder


def graded(folder: Path, where: Path, limits: Limits, code: int) -> dict[str, dict[str, Any]]:
    """Grade a folder, check the exit code, and return what the JSON says by submission."""
    file = where / "grades.json"
    assert gradebook.run([folder], layout(), limits, json_file=file, folder=where / "page") == code
    return {each["submission"].partition("/")[0]: each for each in json.loads(file.read_text())}


def words(each: dict[str, Any]) -> tuple[str, str]:
    (outcome,) = each["outcomes"]
    return outcome["state"], outcome["words"]


@pytest.mark.timeout(600)
def test_a_folder_of_submissions_is_graded_by_the_lesson_s_own_checks(submissions: Path, tmp_path: Path) -> None:
    """Fails when check cells are not restored, or a verdict counts that no checker noted."""
    before = services.processes()
    found = graded(submissions, tmp_path, Limits(), code=1)  # one is no notebook, another shows what nobody judged
    assert words(found["ann"])[0] == "right"
    assert words(found["bob"])[0] == "not yet"
    assert "results come from other events" in words(found["bob"])[1]
    assert found["cem"]["outcomes"] == []
    assert "05.ipynb is not a notebook" in found["cem"]["remarks"][0]
    assert words(found["eve"]) == ("not checked", "the cell shows a verdict that no checker noted: trust me")
    assert words(found["fay"])[1].startswith("the check raised NameError")
    assert found["fay"]["remarks"][0].startswith("the cell exercise-carts raised SyntaxError")
    for name in ("ann", "bob", "eve", "fay"):
        assert Path(found[name]["copy"]).exists()
        assert (tmp_path / "page" / f"{found[name]['submission']}.html").exists()
    assert nothing_is_left()
    renewed = {name for name, (pid, _) in services.processes().items() if pid != before[name][0]}
    assert renewed == {"flink-taskmanager-1", "flink-taskmanager-2"}  # with all that learners' jobs left open there


@pytest.mark.timeout(400)
def test_an_endless_notebook_that_breaks_the_cluster_is_ended_and_the_cluster_mended(tmp_path: Path) -> None:
    """Fails when services are not started again after each notebook."""
    submitted(tmp_path / "hand-in" / "dan" / "05.ipynb", without="imports", exercise=ENDLESS)
    (dan,) = graded(tmp_path / "hand-in", tmp_path, Limits(cell_seconds=20), code=0).values()
    assert words(dan) == ("not reached", "the time of the cell was up in the cell exercise-carts")
    assert "it left flink-taskmanager-2 in trouble, which was started again" in dan["remarks"]
    assert not [status.name for status in services.statuses() if status.in_trouble]
    assert nothing_is_left()


def nothing_is_left() -> bool:
    """Say whether no user, topic or home of a learner is left; tests/services/test_learners.py looks at the rest."""
    where = layout()
    names = provision.users(where, credentials(where.home)) + topics.list_names(settings=settings.load(namespace=""))
    homes = list((where.run / "learners").iterdir())
    return not homes and not [name for name in names if name.startswith(learners.PREFIX)]
