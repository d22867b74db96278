"""Generate the passwords of a course once, and keep them where only their owner can read them.

>>> credentials(Path(".course")).kafka_course_password
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

FILE = "passwords.env"


def _password() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Credentials:
    """Every secret of a course. Only `course` users reach the notebooks; the others administer."""

    kafka_admin_password: str = field(default_factory=_password, repr=False)
    kafka_broker_password: str = field(default_factory=_password, repr=False)
    kafka_controller_password: str = field(default_factory=_password, repr=False)
    kafka_course_password: str = field(default_factory=_password, repr=False)
    elasticsearch_admin_password: str = field(default_factory=_password, repr=False)
    elasticsearch_course_password: str = field(default_factory=_password, repr=False)
    supervisor_password: str = field(default_factory=_password, repr=False)
    jupyter_token: str = field(default_factory=_password, repr=False)


def credentials(home: Path) -> Credentials:
    """Read the passwords of the course in `home`, or generate them at its first start."""
    path = home / FILE
    known = read_env(path) if path.exists() else {}
    found = Credentials(**known)
    if dataclasses.asdict(found) != known:  # the first start, or one after an update that brought a new password
        write_env(path, dataclasses.asdict(found), mode=0o600)
    return found


def read_env(path: Path) -> dict[str, str]:
    """Read what `write_env` wrote, by names in small letters."""
    return {name.lower(): value for name, value in (line.split("=", 1) for line in path.read_text().splitlines())}


def write_env(path: Path, values: dict[str, str], mode: int = 0o644) -> None:
    """Write NAME=value lines so that no reader ever sees half a file or the wrong permissions."""
    partial = path.with_suffix(".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.writelines(f"{name.upper()}={value}\n" for name, value in values.items())
    partial.replace(path)
