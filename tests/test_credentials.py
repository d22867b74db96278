import dataclasses
import stat
from pathlib import Path

from infra.credentials import Credentials, credentials, write_env


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    credentials(tmp_path)
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {"passwords.env": "0o600"}


def test_they_are_made_once(tmp_path: Path) -> None:
    assert credentials(tmp_path) == credentials(tmp_path)


def test_every_course_has_its_own_and_no_two_are_equal(tmp_path: Path) -> None:
    passwords = [*dataclasses.astuple(Credentials()), *dataclasses.astuple(Credentials())]
    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 32


def test_no_repr_shows_one(tmp_path: Path) -> None:
    found = credentials(tmp_path)
    assert not [password for password in dataclasses.astuple(found) if password in f"{found!r} {found}"]


def test_a_password_that_an_update_brings_is_added_and_kept(tmp_path: Path) -> None:
    old = credentials(tmp_path)
    file = tmp_path / "passwords.env"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "JUPYTER" not in line))
    new = credentials(tmp_path)
    assert new == credentials(tmp_path)
    assert dataclasses.replace(new, jupyter_token=old.jupyter_token) == old


def test_a_file_that_was_readable_for_all_is_so_no_longer(tmp_path: Path) -> None:
    for name in ("secrets.env", "secrets.partial"):
        (tmp_path / name).touch(mode=0o644)
    write_env(tmp_path / "secrets.env", {"password": "x"}, mode=0o600)
    assert mode(tmp_path / "secrets.env") == "0o600"
    assert (tmp_path / "secrets.env").read_text() == "PASSWORD=x\n"
