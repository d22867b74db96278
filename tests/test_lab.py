import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from infra import lab
from infra.credentials import Credentials, credentials
from infra.layout import HOST, PORTS, Layout
from kernel_lib.errors import ServiceUnavailable


@pytest.fixture
def where(tmp_path: Path, unused_port: int) -> Layout:
    layout = Layout(tmp_path, port_offset=unused_port - PORTS["jupyterlab"])
    layout.logs.mkdir()
    return layout


@pytest.fixture
def secrets(where: Layout) -> Credentials:
    return credentials(where.home)


@pytest.fixture
def process(where: Layout, secrets: Credentials) -> Iterator[psutil.Process]:
    """A JupyterLab that answers."""
    started = lab.start(where, secrets)
    try:
        lab.wait_until_it_answers(where, started)
        yield psutil.Process(started.pid)
    finally:
        lab.stop(started)


def test_jupyterlab_serves_the_cockpit_to_who_has_the_token_and_to_nobody_else(
    where: Layout, secrets: Credentials, process: psutil.Process
) -> None:
    address = lab.address(where, secrets)
    assert address.startswith(f"http://{where.address('jupyterlab')}/lab/tree/notebooks/00_cockpit.ipynb?token=")
    assert httpx.get(address, follow_redirects=True).status_code == 200
    contents = f"http://{where.address('jupyterlab')}/api/contents"
    assert httpx.get(contents).status_code == 403
    assert httpx.get(contents, params={"token": "wrong"}).status_code == 403

    listening = [one.laddr for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening if address} == {HOST}

    said = (where.logs / "jupyterlab.log").read_text() + " ".join(process.cmdline())
    assert secrets.jupyter_token not in said


def test_a_stopped_jupyterlab_has_ended_and_stopping_again_is_harmless(where: Layout, secrets: Credentials) -> None:
    process = lab.start(where, secrets)
    lab.stop(process)
    lab.stop(process)
    assert process.returncode is not None


def test_a_busy_port_is_told_with_the_place_of_the_log(where: Layout, secrets: Credentials) -> None:
    with socket.create_server((HOST, where.port("jupyterlab"))):
        process = lab.start(where, secrets)
        with pytest.raises(ServiceUnavailable, match="JupyterLab at") as caught:
            lab.wait_until_it_answers(where, process)
    assert "./course logs jupyterlab" in caught.value.remedy


def test_it_listens_beyond_loopback_only_where_it_is_told_to_and_asks_for_the_token(
    where: Layout, secrets: Credentials
) -> None:
    port = where.port("jupyterlab")
    for listen, status in ((HOST, None), ("0.0.0.0", 403)):
        started = lab.start(where, secrets, listen=listen)
        try:
            lab.wait_until_it_answers(where, started)
            # Another address of this machine: Linux takes all of 127/8 for its own.
            assert _status(f"http://127.0.0.2:{port}/api/contents") == status
        finally:
            lab.stop(started)


def _status(address: str) -> int | None:
    try:
        return httpx.get(address, timeout=5, trust_env=False).status_code
    except httpx.ConnectError:
        return None
