"""Fetch the Java artifacts named in artifacts.toml, each checked against the sha256 in artifacts.lock.

    >>> fetch(Path(".course/artifacts"))["kafka"][0].name
    'argparse4j-0.7.0.jar'

Run as a module it resolves the coordinates anew and rewrites the lock.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext
from jgo.maven._core import Artifact, Dependency
from jgo.maven._resolver import PythonResolver

from infra import steps
from kernel_lib.errors import CourseError

HERE = Path(__file__).parent
SPECIFICATION = HERE / "artifacts.toml"
LOCK = HERE / "artifacts.lock"
SIDE_BY_SIDE = 8
"""Downloads at a time; more of the small files are under way while a big one comes."""


class ArtifactRefused(CourseError):
    """A downloaded file is not the one that was locked, or could not be downloaded."""


@dataclass(frozen=True)
class Locked:
    """An artifact of artifacts.lock, and where its file lies."""

    coordinate: str
    sha256: str
    size: int
    artifact: Artifact

    @property
    def path(self) -> Path:
        return Path(self.artifact.context.repo_cache / self.artifact.component.path_prefix / self.artifact.filename)

    @property
    def is_whole(self) -> bool:
        return self.path.exists() and _sha256(self.path) == self.sha256


def fetch(folder: Path, lock: Path = LOCK, remotes: dict[str, str] | None = None) -> dict[str, list[Path]]:
    """Return the files of each group (kafka, flink, elasticsearch), downloading those that `folder` lacks.

    `remotes` are Maven repositories, address by name, to ask instead of Maven Central.
    Raises ArtifactRefused when a download fails or its sha256 is not the locked one.
    """
    downloads = _Downloads()
    resolver = PythonResolver(progress_callback=downloads.one)
    context = MavenContext(repo_cache=folder, resolver=resolver, remote_repos=remotes, timeout=60)
    groups = {
        group: [Locked(name, **known, artifact=_artifact(context, name)) for name, known in artifacts.items()]
        for group, artifacts in tomllib.loads(lock.read_text()).items()
    }
    missing = [one for group in groups.values() for one in group if not one.is_whole]
    if missing:
        with steps.step("Java artifacts", sum(one.size for one in missing)) as downloads.so_far:
            _download_all(missing)
    return {group: [one.path for one in artifacts] for group, artifacts in groups.items()}


def _download_all(missing: list[Locked]) -> None:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        under_way = [pool.submit(_download, one) for one in missing]
        try:
            for download in under_way:
                download.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _download(one: Locked) -> None:
    one.path.unlink(missing_ok=True)  # an interrupted download, or a file that changed since
    try:
        path = one.artifact.resolve()
    except (RuntimeError, OSError) as error:
        raise ArtifactRefused(
            f"{one.coordinate} could not be downloaded.",
            cause=str(error),
            remedy="check the network connection to Maven Central, then ./course up",
        ) from error
    found = _sha256(path)
    if found != one.sha256:
        path.unlink()
        raise ArtifactRefused(
            f"{one.coordinate} is not the file that this course was made with.",
            cause=f"its sha256 is {found}, locked is {one.sha256}",
            remedy="./course up, which downloads it again; if it stays so, do not trust the network you are in",
        )


def _artifact(context: MavenContext, coordinate: str) -> Artifact:
    group, name, packaging, version = coordinate.split(":")
    return context.project(group, name).at_version(version).artifact(packaging=packaging)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Downloads:
    """Adds up what all downloads together have so far."""

    def __init__(self) -> None:
        self.so_far: Callable[[int], None] = lambda count: None
        self._sum = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self, filename: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        yield self._add

    def _add(self, count: int) -> None:
        with self._lock:
            self._sum += count
            self.so_far(self._sum)


def lock_all(specification: Path = SPECIFICATION, lock: Path = LOCK) -> None:
    """Resolve the coordinates of `specification`, download everything and write `lock`."""
    groups = tomllib.loads(specification.read_text())
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        lines = ["# Made by: python -m infra.artifacts. What `course up` installs: coordinates, sha256, bytes.\n"]
        for group, wanted in groups.items():
            lines.append(f"\n[{group}]\n")
            lines += [_entry(name, path) for name, path in _resolved(context, wanted)]
    lock.write_text("".join(lines))


def _entry(name: str, path: Path) -> str:
    return f'"{name}" = {{ sha256 = "{_sha256(path)}", size = {path.stat().st_size} }}\n'


def _resolved(context: MavenContext, wanted: dict[str, list[str]]) -> list[tuple[str, Path]]:
    artifacts = [_artifact(context, coordinate) for coordinate in wanted.get("alone", [])]
    roots = [Dependency(_artifact(context, coordinate)) for coordinate in wanted.get("resolve", [])]
    if roots:
        inputs, transitive = context.resolver.resolve(roots)
        artifacts += [dependency.artifact for dependency in inputs + transitive]
    names = {f"{a.groupId}:{a.artifactId}:{a.packaging}:{a.version}": a for a in artifacts}
    return [(name, names[name].resolve()) for name in sorted(names)]


if __name__ == "__main__":
    lock_all()
