"""Remove what a test made in its namespace."""

from kernel_lib import indices, jobs, topics
from kernel_lib.settings import Settings


def remove(settings: Settings) -> None:
    """Cancel the jobs and delete the topics and indices of a namespace and of its exercises.

    The brokers look at every partition at each fetch of a follower: topics left behind slow down what comes after.
    """
    for place in (settings, settings.model_copy(update={"namespace": f"{settings.namespace}-exercise"})):
        for job in jobs.running(settings=place):
            job.cancel()
        topics.delete(*topics.list_names(settings=place), settings=place)
        for name in indices.list_names(settings=place):
            indices.delete(name, settings=place)
    indices.delete_templates(settings=settings)
