"""Own where the state of this course lies.

>>> course_home.path()
PosixPath('/home/ann/course/.course')
"""

from __future__ import annotations

import os
from pathlib import Path


def path() -> Path:
    """Return the folder of this course's state: COURSE_HOME, or `.course` of this checkout."""
    default = Path(__file__).resolve().parent.parent / ".course"
    return Path(os.environ.get("COURSE_HOME") or default).resolve()
