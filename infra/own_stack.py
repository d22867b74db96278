"""Start services of their own for a test or a benchmark, on free ports and in a home of their own.

So they also run beside a course. What they leave in their home is for a look at the logs; the next run deletes it.

    >>> with own_stack.started("test", "services, browser") as where:
    ...     print(where.port_offset)
    10000
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from infra import preflight, prepare, stack, steps
from infra.layout import CHECKOUT, Layout

OFFSETS = range(10_000, 20_000, 100)


@contextmanager
def started(name: str, purpose: str) -> Iterator[Layout]:
    """Yield the layout of a running stack; this process and its children then use it, through COURSE_HOME."""
    where = _free_layout(name)
    stack.stop(where)
    stack.wipe(where)
    before = os.environ.get("COURSE_HOME")
    os.environ["COURSE_HOME"] = str(where.home)
    print(f"Starting services for {purpose} at port offset {where.port_offset} ...", flush=True)
    try:
        prepare.prepare(where)
        with steps.several(stack.STARTED) as show:
            stack.start(where, show)
        yield where
    finally:
        stack.stop(where)
        if before is None:
            del os.environ["COURSE_HOME"]
        else:
            os.environ["COURSE_HOME"] = before


def _free_layout(name: str) -> Layout:
    layouts = (Layout(CHECKOUT / ".course" / name, port_offset=offset) for offset in OFFSETS)
    return next(where for where in layouts if not list(preflight.check_ports(where)))
