"""Own what a producer run leaves on disk: who it is, its knobs, and what became of each event.

One folder a run under `data/runs` of the course's state. The producer process writes, the notebook and the
ledger read, at the same time: the files are mapped into memory, so they also outlive a `kill -9`.

    >>> run = runs.Run.open(settings, "mb2k4x-7f3a")
    >>> run.states()[:3]
    array([2, 2, 1], dtype=uint8)
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel_lib import course_home
from kernel_lib.errors import NotFound
from kernel_lib.knob_log import KnobLog

IN_FLIGHT, ACKNOWLEDGED, REFUSED, IN_DOUBT, WITHHELD = 1, 2, 3, 4, 5
KEPT_RUNS, KEPT_SECONDS = 20, 3600
MOST_TYPES = 32
_ROOM = 1 << 20  # events; the file of states grows by this much

COUNTERS = np.dtype(
    [
        ("numbered", "i8"),
        ("acknowledged", "i8"),
        ("refused", "i8"),
        ("in_doubt", "i8"),
        ("withheld", "i8"),
        ("events_per_second", "f8"),
        ("errors", "i8"),
        ("types", "i8", (MOST_TYPES,)),
        ("last_error", "S512"),
    ]
)


class Identity(msgspec.Struct, frozen=True):
    """What a run is: `topic` is the short name, which has so many `partitions`; `started_ms` is the epoch."""

    run: str
    topic: str
    namespace: str
    seed: int
    started_ms: int
    pid: int
    partitions: int


class Run:
    """The folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name

    @classmethod
    def open(cls, run: str) -> Run:
        """Find a run by its id; raises NotFound."""
        folder = _home() / run
        if not (folder / "run.json").exists():
            known = ", ".join(sorted((path.name for path in _home().glob("*/")), reverse=True)[:5])
            raise NotFound(f"There is no producer run {run!r}.", cause=f"the latest runs are: {known or 'none'}")
        return cls(folder)

    @classmethod
    def create(cls, run: str) -> Run:
        """Make the folder of a new run; removes the oldest ones beyond the number that is kept.

        Those of the last hour stay: other notebooks may read them.
        """
        folder = _home() / run
        folder.mkdir(parents=True)
        for old in sorted(path for path in _home().iterdir() if path.is_dir())[:-KEPT_RUNS]:
            with suppress(FileNotFoundError):  # another producer that starts now has just removed it
                if time.time() - old.stat().st_mtime > KEPT_SECONDS and not cls(old).alive:
                    shutil.rmtree(old, ignore_errors=True)
        return cls(folder)

    @property
    def identity(self) -> Identity:
        """Who this run is."""
        return msgspec.json.decode((self.folder / "run.json").read_bytes(), type=Identity)

    def write_identity(self, identity: Identity) -> None:
        """Store who this run is, in one step."""
        draft = self.folder / "run.json.new"
        draft.write_bytes(msgspec.json.encode(identity))
        draft.replace(self.folder / "run.json")

    @property
    def alive(self) -> bool:
        """Whether its producer process still runs."""
        try:
            # The process names its folder on the command line: a reused pid does not count.
            command = Path(f"/proc/{self.identity.pid}/cmdline").read_bytes()
        except (OSError, msgspec.ValidationError):  # it is gone; another version of the course wrote it
            return False
        return str(self.folder).encode() in command.split(b"\0")

    @property
    def knobs_file(self) -> Path:
        """Where the knob log is."""
        return self.folder / "knobs.jsonl"

    @property
    def log_file(self) -> Path:
        """Where the process writes what goes wrong."""
        return self.folder / "producer.log"

    def knob_log(self) -> KnobLog:
        """Return which knobs held from which event on."""
        return KnobLog.read(self.knobs_file)

    def counters(self, *, writable: bool = False) -> NDArray[Any]:
        """Map the counters: an array of one COUNTERS record."""
        path = self.folder / "counters"
        return np.memmap(path, COUNTERS, _mode(path, writable), shape=(1,))

    def states(self) -> NDArray[np.uint8]:
        """Map one byte an event: IN_FLIGHT, ACKNOWLEDGED, REFUSED, IN_DOUBT, or WITHHELD, which was never sent."""
        numbered = int(self.counters()["numbered"][0])
        states = np.memmap(self.folder / "states", np.uint8, "r") if numbered else np.empty(0, np.uint8)
        return states[:numbered]

    def state_map(self, events: int) -> NDArray[np.uint8]:
        """Map the states for writing, with room for at least so many events."""
        path = self.folder / "states"
        path.touch()
        os.truncate(path, max(path.stat().st_size, (events // _ROOM + 1) * _ROOM))
        return np.memmap(path, np.uint8, "r+")


def living(topic: str, namespace: str) -> list[Run]:
    """Return the runs that send into a topic, by its short name, of a namespace now, whoever started them."""
    alive = [run for run in map(Run, _home().glob("*/")) if run.alive]
    return [run for run in alive if (run.identity.topic, run.identity.namespace) == (topic, namespace)]


def _mode(path: Path, writable: bool) -> Any:
    return ("r+" if path.exists() else "w+") if writable else "r"


def _home() -> Path:
    return course_home.path() / "data" / "runs"
