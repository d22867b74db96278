"""Listen to supervisor: when a process ends, kill what is left of its process group.

A killed TaskManager leaves its Python workers behind, 200 MB each.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from supervisor import childutils


def main() -> None:
    while True:
        _, payload = childutils.listener.wait()
        event, _ = childutils.eventdata(payload + "\n")
        with suppress(ProcessLookupError):  # nothing was left
            os.killpg(int(event["pid"]), signal.SIGKILL)
        childutils.listener.ok()


if __name__ == "__main__":
    main()
