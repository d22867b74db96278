import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra import install
from infra.layout import CHECKOUT, HOST
from infra.requirements import BUILD_LOCK

_PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
ONLY_FOR_TESTS = {"mypy", "ruff", "playwright", "hypothesis", "pytest", "nbval"}


def pinned(lock: Path) -> dict[str, str]:
    return dict(_PINNED.findall(lock.read_text()))


def test_what_only_tests_need_is_not_in_the_lock_of_the_course() -> None:
    assert not ONLY_FOR_TESTS & set(pinned(install.LOCK))
    assert set(pinned(install.TEST_LOCK)) > ONLY_FOR_TESTS


@pytest.mark.parametrize("lock", [install.TEST_LOCK, BUILD_LOCK], ids=lambda lock: lock.name)
def test_all_locks_agree(lock: Path) -> None:
    course = pinned(install.LOCK)
    both = {name: version for name, version in pinned(lock).items() if name in course}
    assert both
    assert both == {name: course[name] for name in both}


@pytest.mark.parametrize("lock", [install.LOCK, install.TEST_LOCK, BUILD_LOCK], ids=lambda lock: lock.name)
def test_every_package_has_a_hash_and_no_lock_names_an_index(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("lock", [install.LOCK, install.TEST_LOCK], ids=lambda lock: lock.name)
def test_a_lock_says_how_much_its_packages_take(lock: Path) -> None:
    assert install.unpacked_bytes(lock) > 100_000_000


def test_the_installation_imports_only_what_is_there_before_it() -> None:
    code = "import sys, infra.install; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    packages = packages_distributions()
    imported = {name for module in done.stdout.split() for name in packages.get(module, [])}
    assert "rich" in imported
    assert imported <= set(pinned(BUILD_LOCK))


def test_an_installation_that_fails_ends_with_the_last_words_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{HOST}:{unused_port}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setattr(install, "LOG", tmp_path / "install.log")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"streaming-nothing==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(install.InstallationFailed) as caught:
        install._install(lock, "Python packages")
    assert "streaming-nothing" in caught.value.cause
    assert str(tmp_path / "install.log") in caught.value.cause
    assert "the same command again" in caught.value.remedy


def test_the_index_that_pip_is_told_to_use_is_uvs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert install._mirror() == {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://another.example/simple")
    assert install._mirror() == {}


def test_what_tests_need_is_installed_once(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    install.test_tools()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{HOST}:{unused_port}/simple")
    install.test_tools()
    assert (Path(sys.executable).parent / "pytest").exists()


def test_last_lines_are_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    log.write_text("\n\n".join(f"line {n}" for n in range(100)))
    lines = install.last_lines(log).splitlines()
    assert [line.strip() for line in lines[:1] + lines[-1:]] == ["line 92", "line 99"]
