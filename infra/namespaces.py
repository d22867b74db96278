"""Remove what was made under a namespace, and under those whose name begins with it: jobs, topics, groups, indices.

>>> namespaces.remove("grade-3f2a9c1b", settings=settings.load())
"""

from __future__ import annotations

from kernel_lib import groups, indices, jobs, topics
from kernel_lib.settings import Settings


def remove(namespace: str, *, settings: Settings) -> None:
    """Cancel the jobs; delete topics, consumer groups, indices and their templates. Raises ServiceUnavailable.

    The brokers look at every partition at each fetch of a follower: topics left behind slow down what comes after.
    """
    everything = settings.model_copy(update={"namespace": ""})
    jobs.cancel_all(namespace, settings=everything)
    topics.delete(*_of(namespace, topics.list_names(settings=everything)), settings=everything)
    for group in _of(namespace, groups.names(settings=everything)):
        groups.forget(group, settings=everything)
    for index in _of(namespace, indices.list_names(settings=everything)):
        indices.delete(index, settings=everything)
    indices.delete_templates(f"{namespace}*", settings=everything)


def _of(namespace: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(namespace)]
