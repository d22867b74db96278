"""Own the bitmaps that tick off events: which arrived, again, or after a later one of their partition.

Events are known by run and a dense number, so this is a bit an event, not a set: a million take an eighth of a
megabyte.

    >>> tally = Tally()
    >>> tally.add([Arrival(0, b'{"eventId":"r1-7"}')])
    >>> tally.received, tally.duplicate
    (1, 0)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# In a dead letter the event is text within JSON, with backslashes before its quotation marks.
_EVENT_ID = re.compile(rb'"eventId\\*"\s*:\s*\\*"([\w.]+)-(\d+)')
_FEWEST_BYTES = 1 << 12

Bits = NDArray[np.uint8]


class Arrival(NamedTuple):
    """A record or document. `rewritten`: the same document was written before, so it is no second one."""

    partition: int
    value: bytes
    rewritten: bool = False


class Tally:
    """Ticks off the events of one run, or of all; what belongs to no run or to another one is a stranger."""

    def __init__(self, run: str = "") -> None:
        self._run = run.encode()
        self._bits: dict[str, Bits] = {}
        self._latest: dict[tuple[bytes, int], int] = {}
        self.received = self.duplicate = self.out_of_order = self.strangers = 0

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Take records in the order of their arrival."""
        found: dict[tuple[bytes, int], list[tuple[int, bool]]] = defaultdict(list)
        for partition, value, rewritten in arrivals:
            match = _EVENT_ID.search(value)
            if match and self._run in (b"", match[1]):
                found[match[1], partition].append((int(match[2]), rewritten))
            else:
                self.strangers += 1
        for place, numbers in found.items():
            self._tick(place, np.array(numbers, np.int64).T)

    def bits(self) -> dict[str, Bits]:
        """Return the bitmaps by run: bit `n & 7` of byte `n >> 3` says whether event `n` has arrived."""
        return dict(self._bits)

    def _tick(self, place: tuple[bytes, int], numbers: NDArray[np.int64]) -> None:
        arrived, rewritten = numbers[0], numbers[1].astype(bool)
        bits = self._room(place[0].decode(), int(arrived.max()) + 1)
        byte, bit = arrived >> 3, (1 << (arrived & 7)).astype(np.uint8)
        first = np.zeros(len(arrived), bool)
        first[np.unique(arrived, return_index=True)[1]] = True
        first &= (bits[byte] & bit) == 0
        np.bitwise_or.at(bits, byte, bit)
        latest = np.maximum.accumulate(np.concatenate(([self._latest.get(place, -1)], arrived)))
        self._latest[place] = int(latest[-1])
        self.received += int(np.count_nonzero(first))
        self.duplicate += int(np.count_nonzero(~first & ~rewritten))
        self.out_of_order += int(np.count_nonzero(first & (arrived < latest[:-1])))

    def _room(self, run: str, events: int) -> Bits:
        bits = self._bits.get(run, np.zeros(_FEWEST_BYTES, np.uint8))
        if events > 8 * len(bits):
            bits = np.pad(bits, (0, max(len(bits), events // 8 + 1 - len(bits))))
        self._bits[run] = bits
        return bits


def missing(sent: dict[str, Bits], arrived: dict[str, Bits]) -> int:
    """Return how many of the events that were sent have not arrived."""
    nothing = np.zeros(0, np.uint8)
    return sum(_missing(bits, arrived.get(run, nothing)) for run, bits in sent.items())


def _missing(sent: Bits, arrived: Bits) -> int:
    both = min(len(sent), len(arrived))
    gone = np.bitwise_count(sent[:both] & ~arrived[:both]).sum() + np.bitwise_count(sent[both:]).sum()
    return int(gone)
