import re

from infra.layout import CHECKOUT, HOST, PORTS

COMPOSE = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (CHECKOUT / "infra" / "Dockerfile").read_text(encoding="utf-8")


def test_the_container_publishes_jupyterlab_alone_and_on_loopback() -> None:
    port = PORTS["jupyterlab"]
    assert re.findall(r'- "([\d.]+:\d+:\d+)"', COMPOSE) == [f"{HOST}:{port}:{port}"]


def test_the_image_is_built_from_the_dockerfile_and_does_not_run_as_root() -> None:
    assert "dockerfile: infra/Dockerfile" in COMPOSE
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1] != "root"


def test_the_image_leaves_out_what_a_checkout_has_of_its_own() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".venv", ".course", ".git"} <= set(ignored)
