"""Fetch the Java artifacts named in artifacts.toml, each checked against the sha256 in artifacts.lock.

    >>> fetch(Path(".course/artifacts"))["kafka"][0].name
    'argparse4j-0.7.0.jar'

Run as a module it resolves the coordinates anew and rewrites the lock.
"""

from __future__ import annotations

import hashlib
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import rich.progress
from jgo.maven import MavenContext
from jgo.maven._core import Artifact, Dependency
from jgo.maven._resolver import PythonResolver

from kernel_lib.errors import CourseError

HERE = Path(__file__).parent
SPECIFICATION = HERE / "artifacts.toml"
LOCK = HERE / "artifacts.lock"


class ArtifactRefused(CourseError):
    """A downloaded file is not the one that was locked, or could not be downloaded."""


def fetch(folder: Path, lock: Path = LOCK, remotes: dict[str, str] | None = None) -> dict[str, list[Path]]:
    """Return the files of each group (kafka, flink, elasticsearch), downloading those that `folder` lacks.

    `remotes` are Maven repositories, address by name, to ask instead of Maven Central.
    Raises ArtifactRefused when a download fails or its sha256 is not the locked one.
    """
    groups: dict[str, dict[str, str]] = tomllib.loads(lock.read_text())
    with _progress() as callback:
        resolver = PythonResolver(progress_callback=callback)
        context = MavenContext(repo_cache=folder, resolver=resolver, remote_repos=remotes, timeout=60)
        return {
            group: [_fetch_one(context, coordinate, sha256) for coordinate, sha256 in artifacts.items()]
            for group, artifacts in groups.items()
        }


def _fetch_one(context: MavenContext, coordinate: str, sha256: str) -> Path:
    artifact = _artifact(context, coordinate)
    path = context.repo_cache / artifact.component.path_prefix / artifact.filename
    if path.exists() and _sha256(path) != sha256:
        path.unlink()  # an interrupted download, or a file that changed since
    try:
        path = artifact.resolve()
    except (RuntimeError, OSError) as error:
        raise ArtifactRefused(
            f"{coordinate} could not be downloaded.",
            cause=str(error),
            remedy="check the network connection to Maven Central, then ./course up",
        ) from error
    found = _sha256(path)
    if found != sha256:
        path.unlink()
        raise ArtifactRefused(
            f"{coordinate} is not the file that this course was made with.",
            cause=f"its sha256 is {found}, locked is {sha256}",
            remedy="./course up, which downloads it again; if it stays so, do not trust the network you are in",
        )
    return path


def _artifact(context: MavenContext, coordinate: str) -> Artifact:
    group, name, packaging, version = coordinate.split(":")
    return context.project(group, name).at_version(version).artifact(packaging=packaging)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress() -> Iterator[Callable[[str, int], AbstractContextManager[Callable[[int], None]]]]:
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
    )
    with rich.progress.Progress(*columns, transient=True) as bars:

        @contextmanager
        def download(filename: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
            task = bars.add_task(f"Downloading {filename}", total=total_bytes)
            yield lambda count: bars.advance(task, count)
            bars.remove_task(task)

        yield download


def lock_all(specification: Path = SPECIFICATION, lock: Path = LOCK) -> None:
    """Resolve the coordinates of `specification`, download everything and write `lock`."""
    groups = tomllib.loads(specification.read_text())
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        lines = ["# Made by: python -m infra.artifacts. Coordinates and sha256 of what `course up` installs.\n"]
        for group, wanted in groups.items():
            lines.append(f"\n[{group}]\n")
            lines += [f'"{name}" = "{_sha256(path)}"\n' for name, path in _resolved(context, wanted)]
    lock.write_text("".join(lines))


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
