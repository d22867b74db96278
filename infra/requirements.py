"""Lock the Python packages: those of the course, those that only tests need, and those that install them.

Run as a module it writes the three locks anew from pyproject.toml: what is locked stays, unless `--upgrade` is among
the words, which go to uv. All versions agree, because the later locks are made under the first one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.install import LOCK, TEST_LOCK, VENV
from infra.layout import CHECKOUT

BUILD_LOCK = CHECKOUT / "infra" / "build.lock"
SOURCES = {
    LOCK: ["pyproject.toml"],
    TEST_LOCK: ["--group", "test", "--constraint", LOCK.name],
    BUILD_LOCK: ["--group", "build", "--constraint", LOCK.name],
}
"""What each lock is made from; a lock is no source of its own constraint."""

OPTIONS = ["--universal", "--generate-hashes", "--python-version", "3.11", "--no-emit-index-url", "--quiet"]


def lock_all(words: Sequence[str] = ()) -> None:
    """Write all locks, and into those that are installed with a bar how much they add when they are unpacked."""
    for lock, sources in SOURCES.items():
        _uv("compile", *sources, *OPTIONS, "--custom-compile-command", "see CONTRIBUTING.md", "-o", str(lock), *words)
    with tempfile.TemporaryDirectory(dir=VENV) as folder:
        for lock in (LOCK, TEST_LOCK):
            before = _size(folder)
            _uv("install", "--quiet", "--require-hashes", "--no-build-isolation", "--target", folder, "-r", str(lock))
            lock.write_text(f"# Unpacked: {_size(folder) - before} bytes\n{lock.read_text()}")


def _size(folder: str) -> int:
    return sum(path.lstat().st_size for path in Path(folder).rglob("*") if not path.is_dir())


def _uv(verb: str, *words: str) -> None:
    subprocess.run([VENV / "bin" / "uv", "pip", verb, *words], cwd=CHECKOUT, check=True)


if __name__ == "__main__":
    lock_all(sys.argv[1:])
