"""Own the canonical form of committed notebooks, and the copy of a lesson with answers to its exercises put in.

Canonical: nbformat 4.5, indent 1, no outputs or counters, kernelspec `python3`, cell ids that say the step.

    $ python -m infra.notebooks          # names what is wrong
    $ python -m infra.notebooks --fix    # mends what can be mended
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

from kernel_lib import lesson_files
from kernel_lib.errors import ConfigurationError

Notebook = dict[str, Any]

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MEANINGFUL_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MADE_UP_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]+)?|cell-?\d+")
KEPT_CELL_METADATA = {"tags"}
_CODE: Notebook = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}


def lessons() -> list[Path]:
    """Return the notebooks of the course, in order."""
    return [lesson_files.path(name) for name in lesson_files.names()]


def reset(lesson: str) -> Path:
    """Put a fresh notebook in the place of a learner's, which is kept beside it; return where.

    Fresh is as Git has it. Raises NotFound for an unknown lesson, ConfigurationError without Git.
    """
    path = lesson_files.path(lesson)
    asked = ["git", "show", f"HEAD:./{path.name}"]
    try:
        fresh = subprocess.run(asked, cwd=path.parent, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        cause = getattr(error, "stderr", b"").decode().strip() or str(error)
        remedy = "use a clone of the course, made with Git"
        raise ConfigurationError(f"There is no fresh copy of {lesson}.", cause=cause, remedy=remedy) from error
    kept = path.with_name(f"{lesson}-mine-{datetime.now():%Y%m%d-%H%M%S}.ipynb")
    path.replace(kept)
    path.write_bytes(fresh)
    return kept


def problems(path: Path) -> list[str]:
    """Return what keeps a notebook from being canonical, one sentence each."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    found = [f"{path.name}: {problem}" for problem in _id_problems(notebook)]
    if text != rendered(canonical(notebook)):
        found.append(f"{path.name}: is not canonical (outputs, counters, metadata or formatting)")
    return found


def check(paths: Iterable[Path]) -> list[str]:
    """Return the problems of all notebooks."""
    return [problem for path in paths for problem in problems(path)]


def fix(paths: Iterable[Path]) -> list[Path]:
    """Write the notebooks that were not canonical in canonical form; returns those that changed.

    An id that says nothing is replaced by the cell's heading or first words; look at the result.
    """
    changed = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        mended = rendered(canonical(_with_named_cells(json.loads(text))))
        if mended != text:
            path.write_text(mended, encoding="utf-8")
            changed.append(path)
    return changed


def canonical(notebook: Notebook) -> Notebook:
    """Return the notebook without all that running it leaves behind."""
    return {"cells": [_canonical(cell) for cell in notebook["cells"]], "metadata": METADATA, "nbformat": 4,
            "nbformat_minor": 5}  # fmt: skip


def rendered(notebook: Notebook) -> str:
    """Return the text of the file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def answered(notebook: Notebook, answers: Mapping[str, Sequence[str]]) -> Notebook:
    """Return a copy in which each exercise runs as it is, and then with each of its answers.

    After the cell `check-x` come the first answer to `exercise-x` and the check again (`check-x-1`), and so on: one
    headless run shows "not yet" first, and "right" with the solution. The closing button is pressed in the end.
    """
    cells: list[dict[str, Any]] = []
    for cell in deepcopy(notebook["cells"]):
        cells.append(cell)
        exercise = cell["id"].replace("check-", "exercise-", 1)
        if cell["id"].startswith("check-"):
            for number, answer in enumerate(answers.get(exercise, ()), 1):
                cells.append({**deepcopy(cell), "id": f"{exercise}-{number}", "source": answer})
                cells.append({**deepcopy(cell), "id": f"{cell['id']}-{number}"})
    cells.append(deepcopy(_CODE) | {"id": "press-the-closing-button", "source": "lessons.close()"})
    return {**notebook, "cells": cells}


def _canonical(cell: dict[str, Any]) -> dict[str, Any]:
    source = "".join(cell["source"]).rstrip()
    kept = {name: value for name, value in cell["metadata"].items() if name in KEPT_CELL_METADATA}
    clean = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id", ""),
        "metadata": kept,
        "source": source.splitlines(keepends=True),
    }
    return deepcopy(_CODE) | clean if cell["cell_type"] == "code" else clean


def _id_problems(notebook: Notebook) -> list[str]:
    ids = [cell.get("id", "") for cell in notebook["cells"]]
    bad = [f"cell id {id!r} does not say what the cell does" for id in ids if not _meaningful(id)]
    return bad + [f"cell id {id!r} is there twice" for id in sorted({id for id in ids if ids.count(id) > 1})]


def _meaningful(id: str) -> bool:
    return bool(MEANINGFUL_ID.fullmatch(id)) and not MADE_UP_ID.fullmatch(id)


def _with_named_cells(notebook: Notebook) -> Notebook:
    seen: set[str] = set()
    for cell in notebook["cells"]:
        id = cell.get("id", "")
        if not _meaningful(id) or id in seen:
            words = re.findall(r"[a-z][a-z0-9]*", "".join(cell["source"]).lower())[:4]
            id = base = "-".join(words) or cell["cell_type"]
            while id in seen:
                id = f"{base}-{len(seen)}"
        cell["id"] = id
        seen.add(id)
    return notebook


def main() -> None:
    """Check the notebooks of the course, or mend them with --fix."""
    if "--fix" in sys.argv[1:]:
        for path in fix(lessons()):
            print(f"mended {path.name}: look at it before you commit")
    found = check(lessons())
    print("\n".join([*found, "mend with: ./course test lint --fix"] if found else ["all notebooks are canonical"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
