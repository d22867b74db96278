"""Ports of this machine on which nobody listens."""

import socket
from contextlib import ExitStack

from infra.layout import HOST


def free_ports(count: int) -> list[int]:
    """Return different ports that are free now."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]
