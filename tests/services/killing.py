"""Kill a service for the time of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from kernel_lib import services
from kernel_lib.settings import Settings


@contextmanager
def killed(name: str, settings: Settings) -> Iterator[None]:
    """Kill a service, and start it again at the end."""
    services.kill(name, settings=settings)
    try:
        yield
    finally:
        services.start(name, settings=settings)
