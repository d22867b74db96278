"""Own the dice of the generators: numbers that look random and follow from a seed and an index alone.

>>> dice = Dice(seed=1)
>>> dice.share("late", np.arange(3)).round(2).tolist() == Dice(seed=1).share("late", np.arange(3)).round(2).tolist()
True
"""

from __future__ import annotations

from functools import cache
from random import Random
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 1024) for i in range(1024)])
LARGEST_DEVIATION = float(_NORMAL[-1])
"""No number of `Dice.normal` is farther than this from 0."""


class Dice:
    """Throws of one seed; each purpose has dice of its own, so that they do not depend on each other."""

    def __init__(self, seed: int) -> None:
        self._salt = cache(lambda purpose: np.uint64(Random(f"{seed}/{purpose}").getrandbits(64)))

    def bits(self, purpose: str, *numbers: Any) -> Numbers:
        """Return 64 random bits for each number, or for each pair or triple of numbers."""
        mixed = mix(np.asarray(numbers[0]).astype(np.uint64), self._salt(purpose))
        for further in numbers[1:]:
            mixed = mix(mixed + np.asarray(further).astype(np.uint64), self._salt(purpose))
        return mixed

    def below(self, most: int | NDArray[Any], purpose: str, *numbers: Any) -> NDArray[np.int64]:
        """Return a whole number from 0 up to, but not including, `most`, for each number."""
        return (self.bits(purpose, *numbers) % np.asarray(most).astype(np.uint64)).astype(np.int64)

    def share(self, purpose: str, *numbers: Any) -> NDArray[np.float64]:
        """Return a number from 0 up to, but not including, 1 for each number."""
        return fraction(self.bits(purpose, *numbers))

    def normal(self, purpose: str, *numbers: Any) -> NDArray[np.float64]:
        """Return a normally distributed number, with mean 0 and deviation 1, for each number."""
        chosen: NDArray[np.float64] = _NORMAL[self.below(len(_NORMAL), purpose, *numbers)]
        return chosen


def mix(values: Numbers, salt: np.uint64) -> Numbers:
    """Scramble 64-bit numbers (the finaliser of splitmix64): https://prng.di.unimi.it/splitmix64.c."""
    mixed = (values ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def fraction(bits: Numbers) -> NDArray[np.float64]:
    """Return bits as a number from 0 up to, but not including, 1."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
