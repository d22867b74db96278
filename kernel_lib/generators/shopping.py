"""Own the purchases that run through two topics: a user's steps in `user-events`, then the payment in `transactions`.

Both streams follow the same plan, which depends on the seed and on time only: every five seconds a shopper looks at a
product, puts it into the cart, goes to the checkout and purchases; then the payment follows. Each stream gives the next
step to its first event that is due after the step's time, so with few events a second steps are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel_lib.generators.people import USERS
from kernel_lib.generators.scramble import Dice
from kernel_lib.knob_log import Indices, KnobLog

EVERY_MS, STEP_MS = 5_000, 500
STEPS = ("look", "add to cart", "checkout", "purchase", "payment")
PAYMENT = STEPS.index("payment")


class Plan(NamedTuple):
    """For each event whether a step of the plan falls to it, the number of that purchase, its shopper and the step."""

    planned: NDArray[np.bool_]
    purchase: Indices
    shopper: Indices
    step: Indices


def plan(dice: Dice, index: Indices, log: KnobLog, users: int = USERS) -> Plan:
    """Return what the plan says about the events `index` of a run."""
    now, before = log.due_ms(index) // STEP_MS, log.due_ms(np.maximum(index - 1, 0)) // STEP_MS
    steps = EVERY_MS // STEP_MS
    purchase, step = now // steps, now % steps
    planned = (now != before) & (step < len(STEPS))
    return Plan(planned, purchase, dice.below(min(users, USERS), "shopper", purchase), step)
