"""Own what a producer needs of a generator, whatever it generates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel_lib.knob_log import KnobLog


@dataclass(frozen=True)
class Emission:
    """Events ready to send, with their keys; `types` indexes the stream's `event_types`."""

    events: list[msgspec.Struct]
    keys: list[str]
    types: NDArray[np.int64]


class Stream(Protocol):
    """A stream of events, numbered from 0; event times come from the knob log."""

    event_types: tuple[str, ...]

    def __init__(self, seed: int = ...) -> None: ...

    def types(self, first: int, count: int, log: KnobLog) -> NDArray[np.int64]: ...

    def emit(self, first: int, count: int, log: KnobLog, *, run: str, sent_at: int) -> Emission: ...


def iso_stamps(times_ms: NDArray[np.int64]) -> list[str]:
    """Return epoch milliseconds as ISO-8601 in UTC with milliseconds."""
    return [stamp + "Z" for stamp in np.datetime_as_string(times_ms.astype("datetime64[ms]"), unit="ms").tolist()]
