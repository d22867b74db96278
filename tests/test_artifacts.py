import hashlib
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra import artifacts
from infra.artifacts import ArtifactRefused
from infra.layout import HOST

CONTENT = b"a jar, as far as anybody can tell"
COORDINATE = "org.example:thing:jar:1.0"
PLACE = Path("org/example/thing/1.0/thing-1.0.jar")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Maven repository that has one artifact, served over HTTP."""
    folder = tmp_path / "remote"
    served = folder / PLACE
    served.parent.mkdir(parents=True)
    served.write_bytes(CONTENT)
    served.with_suffix(".jar.sha1").write_text(hashlib.sha1(CONTENT).hexdigest())
    server = ThreadingHTTPServer((HOST, 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {"test": f"http://{HOST}:{server.server_port}"}
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def lock(tmp_path: Path, *, sha256: str = hashlib.sha256(CONTENT).hexdigest(), coordinate: str = COORDINATE) -> Path:
    path = tmp_path / "artifacts.lock"
    path.write_text(f'[kafka]\n"{coordinate}" = {{ sha256 = "{sha256}", size = {len(CONTENT)} }}\n')
    return path


def test_what_is_missing_is_downloaded(tmp_path: Path, folder: Path, remote: dict[str, str]) -> None:
    (path,) = artifacts.fetch(folder, lock(tmp_path), remote)["kafka"]
    assert path.read_bytes() == CONTENT


def test_what_is_there_is_not_downloaded_again(tmp_path: Path, folder: Path) -> None:
    (folder / PLACE).parent.mkdir(parents=True)
    (folder / PLACE).write_bytes(CONTENT)
    assert artifacts.fetch(folder, lock(tmp_path), remotes={}) == {"kafka": [folder / PLACE]}


def test_an_interrupted_download_is_replaced(tmp_path: Path, folder: Path, remote: dict[str, str]) -> None:
    (folder / PLACE).parent.mkdir(parents=True)
    (folder / PLACE).write_bytes(CONTENT[:7])
    (path,) = artifacts.fetch(folder, lock(tmp_path), remote)["kafka"]
    assert path.read_bytes() == CONTENT


def test_a_file_with_another_sha256_is_refused_and_deleted(
    tmp_path: Path, folder: Path, remote: dict[str, str]
) -> None:
    with pytest.raises(ArtifactRefused, match="not the file") as caught:
        artifacts.fetch(folder, lock(tmp_path, sha256="0" * 64), remote)
    assert "locked is 0000" in caught.value.cause
    assert not (folder / PLACE).exists()


def test_a_download_that_was_damaged_on_the_way_is_refused(
    tmp_path: Path, folder: Path, remote: dict[str, str]
) -> None:
    (tmp_path / "remote" / PLACE).write_bytes(CONTENT[:-1])
    with pytest.raises(ArtifactRefused):
        artifacts.fetch(folder, lock(tmp_path), remote)
    (tmp_path / "remote" / PLACE).write_bytes(CONTENT)
    assert artifacts.fetch(folder, lock(tmp_path), remote)["kafka"][0].read_bytes() == CONTENT


def test_an_artifact_that_nobody_has_is_named_with_the_remedy(
    tmp_path: Path, folder: Path, remote: dict[str, str]
) -> None:
    with pytest.raises(ArtifactRefused, match=r"org\.example:other:jar:1\.0 could not be downloaded") as caught:
        artifacts.fetch(folder, lock(tmp_path, coordinate="org.example:other:jar:1.0"), remote)
    assert caught.value.remedy


def test_a_network_that_is_down_is_told_in_a_sentence(tmp_path: Path, folder: Path, unused_port: int) -> None:
    with pytest.raises(ArtifactRefused, match="could not be downloaded"):
        artifacts.fetch(folder, lock(tmp_path), {"down": f"http://{HOST}:{unused_port}"})


def test_the_bytes_of_all_downloads_are_told_together(
    tmp_path: Path, folder: Path, remote: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.fetch(folder, lock(tmp_path), remote)
    assert f"{len(CONTENT)} bytes in 0 s" in capsys.readouterr().err
    artifacts.fetch(folder, lock(tmp_path), remote)
    assert not capsys.readouterr().err, "what is there is no step"


def test_every_locked_artifact_has_a_sha256_and_a_size() -> None:
    groups = tomllib.loads(artifacts.LOCK.read_text())
    entries = [entry for group in groups.values() for entry in group.values()]
    assert len(entries) > 40
    assert all(len(entry["sha256"]) == 64 and entry["size"] > 0 for entry in entries)
