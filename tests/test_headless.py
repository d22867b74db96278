"""Notebooks that end badly, in real kernels; no services are needed."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from infra import headless, notebooks
from infra.headless import Clock, Limits
from kernel_lib.waiting import PATIENCE


@pytest.fixture(autouse=True)
def usual_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATIENCE, raising=False)


def run(folder: Path, *sources: str, limits: Limits) -> tuple[str, dict[str, Any]]:
    """Run cells apart; return why there is no result, and the result."""
    cells = [{"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "source": s} for n, s in enumerate(sources, 1)]
    source, result = folder / "source.ipynb", folder / "result.ipynb"
    source.write_text(notebooks.rendered(notebooks.canonical({"cells": cells})))
    failed = headless.run_apart(source, result, dict(os.environ), limits)
    return failed, json.loads(result.read_text()) if result.exists() else {}


def outputs(ran: dict[str, Any], id: str) -> list[dict[str, Any]]:
    (found,) = [cell["outputs"] for cell in ran["cells"] if cell["id"] == id]
    assert isinstance(found, list)
    return found


def test_a_cell_that_raises_does_not_end_the_run(tmp_path: Path) -> None:
    failed, ran = run(tmp_path, "1 / 0", "2 + 2", limits=Limits())
    assert failed == ""
    assert outputs(ran, "cell-1")[0]["ename"] == "ZeroDivisionError"
    assert outputs(ran, "cell-2")[0]["data"]["text/plain"] == ["4"]
    assert headless.ENDED not in ran["metadata"]


def test_an_endless_cell_ends_the_run_and_what_ran_before_is_kept(tmp_path: Path) -> None:
    begun = time.monotonic()
    failed, ran = run(tmp_path, "2 + 2", "while True:\n    pass", "3 + 3", limits=Limits(cell_seconds=2))
    assert failed == ""
    assert time.monotonic() - begun < 60
    assert ran["metadata"][headless.ENDED] == "the time of the cell was up in the cell cell-2"
    assert outputs(ran, "cell-1")[0]["data"]["text/plain"] == ["4"]
    assert outputs(ran, "cell-3") == []


def test_of_what_an_endless_cell_prints_only_the_beginning_is_kept(tmp_path: Path) -> None:
    _, ran = run(tmp_path, "while True:\n    print('x' * 99)", limits=Limits(cell_seconds=2))
    assert headless.ENDED in ran["metadata"]
    assert 1_000 < (tmp_path / "result.ipynb").stat().st_size < 10_000_000


def test_a_kernel_that_dies_ends_the_run(tmp_path: Path) -> None:
    failed, ran = run(tmp_path, "2 + 2", "import os\nos._exit(1)", limits=Limits())
    assert failed == ""
    assert ran["metadata"][headless.ENDED] == "the kernel died"
    assert outputs(ran, "cell-1")[0]["data"]["text/plain"] == ["4"]


def test_a_notebook_that_kills_its_runner_leaves_no_result_and_harms_nobody_else(tmp_path: Path) -> None:
    failed, ran = run(tmp_path, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", limits=Limits())
    assert "SIGKILL" in failed
    assert ran == {}


def test_cells_share_the_time_of_the_notebook() -> None:
    clock = Clock(Limits(cell_seconds=100, notebook_seconds=20))
    assert 18 <= clock({"id": "check-carts"}) <= 20
    assert clock.said == "the time of the whole notebook was up in the cell check-carts"
    assert Clock(Limits(cell_seconds=100, notebook_seconds=0))({"id": "a"}) == 1  # 0 would mean no limit
