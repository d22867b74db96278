"""Install the Python packages of the course, and those that only its tests need, from hash-locked lists.

    >>> install.course()
    >>> install.test_tools()

Both are harmless when done before, and ask the network for nothing then. What uv says goes to `.venv/install.log`.
Imported before the packages are there: of them, only what `infra/build.lock` has is used here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from infra import steps
from infra.layout import CHECKOUT, INSTALLED
from kernel_lib.errors import CourseError
from kernel_lib.waiting import wait_until

LOCK = CHECKOUT / "requirements.lock"
TEST_LOCK = CHECKOUT / "requirements-test.lock"
VENV = INSTALLED.parent
LOG = VENV / "install.log"
LAST_LINES = 8
_UNPACKED = re.compile(r"^# Unpacked: (\d+) bytes$", re.MULTILINE)


class InstallationFailed(CourseError):
    """A package could not be downloaded or is not the one that was locked."""


def course() -> None:
    """Install what the course needs into .venv. Raises InstallationFailed."""
    _install(LOCK, "Python packages")
    # Notebooks and their kernels find kernel_lib from every folder.
    Path(sysconfig.get_path("purelib"), "course.pth").write_text(f"{CHECKOUT}\n")
    shutil.copyfile(LOCK, INSTALLED)


def test_tools() -> None:
    """Install what only tests need, unless they are there already. Raises InstallationFailed."""
    stamp = VENV / TEST_LOCK.name
    if not stamp.exists() or stamp.read_bytes() != TEST_LOCK.read_bytes():
        _install(TEST_LOCK, "Tools for tests")
        shutil.copyfile(TEST_LOCK, stamp)


def unpacked_bytes(lock: Path) -> int:
    """Return how much the packages of a lock take when they are unpacked, as infra/requirements.py measured it."""
    found = _UNPACKED.search(lock.read_text())
    return int(found[1]) if found else 0


def _install(lock: Path, what: str) -> None:
    command: list[str | Path] = [VENV / "bin" / "uv", "pip", "install", "--python", sys.executable, "--require-hashes"]
    command += ["--no-build-isolation", "--system-certs", "-r", lock]
    with LOG.open("a") as log, steps.step(what, unpacked_bytes(lock)) as so_far:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **_mirror()})
        wait_until(lambda: _ended(process, so_far), float("inf"), "uv to end", interval_seconds=0.2)
    if process.returncode != 0:
        raise InstallationFailed(
            f"Installing the {what} failed.",
            cause=f"the last lines of {LOG} are:\n{last_lines(LOG)}",
            remedy="the same command again, with a network connection to PyPI; it goes on with what is downloaded",
        )


def _ended(process: subprocess.Popen[bytes], so_far: Callable[[int], None]) -> bool:
    """Tell how much uv has written; it unpacks while it downloads, and links the files in the end."""
    if process.poll() is not None:
        return True
    written = re.search(r"^wchar: (\d+)$", Path(f"/proc/{process.pid}/io").read_text(), re.MULTILINE)
    so_far(int(written[1]) if written else 0)
    return False


def _mirror() -> dict[str, str]:
    """Return the package index that pip is told to use, if there is one: uv does not read pip's settings."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    named = re.findall(r"\.index-url='(.*)'$", done.stdout, re.MULTILINE)
    return {"UV_DEFAULT_INDEX": named[-1]} if named and "UV_DEFAULT_INDEX" not in os.environ else {}


def last_lines(log: Path) -> str:
    """Return the end of a log, to be read on a terminal."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])


def run() -> int:
    """Install the course; an error is printed as sentences."""
    try:
        course()
    except CourseError as error:
        steps.console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run())
