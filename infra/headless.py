"""Run one notebook headless in a process of its own, to its end or to the end of its time.

    $ python -m infra.headless NOTEBOOK RESULT CELL_SECONDS NOTEBOOK_SECONDS

A cell that raises does not end the run. A cell without an end, or a kernel that died, does: RESULT then holds what ran
until then, and says in its metadata why nothing more did.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from infra.layout import CHECKOUT
from kernel_lib.waiting import patience

ENDED = "ended"
"""The entry in a result's metadata that says why the run ended before the notebook's end."""
MOST_PRINTED = 100_000
GRACE_SECONDS = 60
"""How long kernel and papermill may take to start and to end, beside the notebook's own time."""


@dataclass(frozen=True)
class Limits:
    """How many seconds a cell, and all cells together, may take; as all limits they are multiplied by `patience`."""

    cell_seconds: int = 240
    notebook_seconds: int = 600


class Clock:
    """What is left of the limits; papermill asks for each cell that begins."""

    def __init__(self, limits: Limits) -> None:
        self._cell_seconds = round(limits.cell_seconds * patience())
        self._deadline = time.monotonic() + limits.notebook_seconds * patience()
        self.said = ""

    def __call__(self, cell: Any) -> int:
        """Return the seconds that a cell may take, at least one: none would mean no limit."""
        left = max(1, int(self._deadline - time.monotonic()))
        whose = "the cell" if left > self._cell_seconds else "the whole notebook"
        self.said = f"the time of {whose} was up in the cell {cell.get('id')}"
        return min(self._cell_seconds, left)


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Papermill's own client, which keeps only the beginning of what a cell prints: an endless one prints gigabytes."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Take a message of the kernel."""
        printed = sum(len(output.text) for output in cell.outputs if output.output_type == "stream")
        if msg["msg_type"] == "stream" and printed > MOST_PRINTED:
            return None
        return super().process_message(msg, cell, cell_index)


class Engine(NBClientEngine):  # type: ignore[misc]
    """Papermill's own engine, which keeps what ran when a cell does not end or the kernel dies."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, clock: Clock, **options: Any) -> None:
        """Run the cells, and write down why nothing ran after one of them."""
        client = Client(nb_man, kernel_name=kernel_name, allow_errors=True, timeout_func=clock)
        try:
            client.execute()
        except CellTimeoutError:
            nb_man.nb.metadata[ENDED] = clock.said
        except DeadKernelError:
            nb_man.nb.metadata[ENDED] = "the kernel died"


def run(source: Path, result: Path, limits: Limits) -> None:
    """Run a notebook in this process's folder and write the executed copy."""
    papermill_engines.register("course", Engine)
    with suppress(PapermillExecutionError):  # a cell raised: the copy says which
        papermill.execute_notebook(
            str(source),
            str(result),
            engine_name="course",
            kernel_name="python3",
            progress_bar=False,
            clock=Clock(limits),
            request_save_on_cell_execute=False,  # BokehJS is among the outputs: to write it each time costs seconds
        )


def run_apart(source: Path, result: Path, environment: dict[str, str], limits: Limits) -> str:
    """Run a notebook in a process of its own, in the folder of `result`; return why there is no result, or "".

    So a notebook cannot end whoever runs it, and it is killed when it does not heed its time.
    """
    words = [sys.executable, "-m", "infra.headless", source, result, limits.cell_seconds, limits.notebook_seconds]
    log = result.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(map(str, words)),
            cwd=result.parent,
            env=environment | {"PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # an interrupt is for who runs it, and what it signals is its own
        )
        try:
            process.wait((limits.notebook_seconds + GRACE_SECONDS) * patience())
        except subprocess.TimeoutExpired:
            return f"it did not end {GRACE_SECONDS} s after its time was up"
        finally:
            process.kill()
            process.wait()
    if process.returncode < 0:
        return f"its runner was ended by {signal.Signals(-process.returncode).name}"
    return log.read_text(errors="replace").strip().rpartition("\n")[2] if process.returncode else ""


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Limits(int(sys.argv[3]), int(sys.argv[4])))
