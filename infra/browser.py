"""Find the Chromium in which the browser tests look at the lessons.

Run as a module it fails when there is none.
"""

from __future__ import annotations

import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "Try: apt-get install chromium (as root)"


def find() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def missing() -> str:
    """Return what to say when there is no Chromium, else an empty string."""
    return "" if find() else f"There is no Chromium on this machine. {REMEDY}"


if __name__ == "__main__":
    sys.exit(missing() or 0)
