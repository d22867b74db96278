"""Find the Chromium, and what drives it, with which tests and benchmark look at the lessons.

Run as a module it fails when one of them is missing.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "Try: apt-get install chromium (as root)"
DRIVER = "playwright"
DRIVER_REMEDY = "Try: ./course test lint, which installs what tests need"


def find() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def missing() -> str:
    """Return what to say when Chromium or its driver is not there, else an empty string."""
    if not find():
        return f"There is no Chromium on this machine. {REMEDY}"
    return "" if find_spec(DRIVER) else f"{DRIVER} is not installed. {DRIVER_REMEDY}"


if __name__ == "__main__":
    sys.exit(missing() or 0)
