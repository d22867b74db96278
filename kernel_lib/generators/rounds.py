"""Own rounds: every participant once a round, in an order that looks random.

>>> turn_of(np.arange(6), 3)[0].tolist()
[0, 0, 0, 1, 1, 1]
"""

from __future__ import annotations

import math
from functools import cache

from kernel_lib.knob_log import Indices


def turn_of(index: Indices, participants: int) -> tuple[Indices, Indices]:
    """Return for each event its round and who has it; two turns of one participant are a whole round apart."""
    return index // participants, index % participants * _stride(participants) % participants


def index_of(turn: Indices, who: Indices, participants: int) -> Indices:
    """Return the number of the event that a participant has in a round: the inverse of `turn_of`."""
    back = pow(_stride(participants), -1, participants) if participants > 1 else 0
    return turn * participants + who * back % participants


@cache
def _stride(participants: int) -> int:
    """Return a number without a common factor with `participants`, about the golden part of it."""
    stride = max(1, round(participants * 0.618))
    while math.gcd(stride, participants) > 1:
        stride += 1
    return stride
