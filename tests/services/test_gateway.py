"""The Java process through which a notebook talks to Flink."""

from concurrent.futures import ThreadPoolExecutor

from kernel_lib import gateway
from kernel_lib.settings import Settings


def java_thread() -> str:
    from pyflink.java_gateway import get_gateway

    return str(get_gateway().jvm.Thread.currentThread().toString())


def test_what_another_thread_asks_java_changes_nothing_for_this_one(settings: Settings) -> None:
    """Fails with py4j's own pool of connections: the other thread takes this one's, and with it its Java thread."""
    gateway.connect(settings)
    mine = java_thread()
    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(java_thread).result(30) != mine
        assert java_thread() == mine
