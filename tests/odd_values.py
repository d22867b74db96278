"""What nobody should answer to an exercise, and somebody will: words are the answer to it, never a traceback."""

import math
from typing import Any

import numpy as np

NO_TEXTS: list[Any] = [None, True, 3, math.nan, ["kafka-1"], {"kafka-1"}, {}, np.array(["a", "b"]), len]
NO_NUMBERS: list[Any] = [
    True,
    math.nan,
    math.inf,
    -math.inf,
    "3",
    "",
    1e300,
    10**400,
    3j,
    [3],
    {3},
    {},
    np.array([1.0, 2.0]),
    max,
]
