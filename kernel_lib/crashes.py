"""Crash what runs a job, and bring it back.

>>> crashes.kill_taskmanager(job)
'flink-taskmanager-1 was killed; relay ran again after 5.1 s'
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from kernel_lib import services
from kernel_lib.job import Job
from kernel_lib.waiting import wait_until

NOTICED_SECONDS = 30.0


def kill_taskmanager(job: Job) -> str:
    """Kill a TaskManager that runs the job and start it again; return, when both run, how long the job was away.

    With another TaskManager that has free slots the job does not wait for this one. Raises JobFailed if it ends.
    """
    with killed_taskmanager(job) as said:
        return said


@contextmanager
def killed_taskmanager(job: Job) -> Iterator[str]:
    """Do the same, but go on as soon as the job runs again; at the end the TaskManager is back too.

    Raises JobFailed, ServiceUnavailable, and WaitTimeout when Flink does not notice or the job does not come back.
    """
    victim = job.taskmanagers()[0]
    killed_at = time.time()
    services.kill(victim, settings=job.settings)
    with ThreadPoolExecutor(1) as pool:
        back = pool.submit(services.start, victim, settings=job.settings)
        # Flink goes on saying RUNNING until heartbeats are missed.
        wait_until(partial(_noticed, job, killed_at), NOTICED_SECONDS, f"Flink to notice that {victim} is gone")
        job.wait_running()
        yield f"{victim} was killed; {job.name} ran again after {time.time() - killed_at:.1f} s"
        back.result()


def _noticed(job: Job, killed_at: float) -> bool:
    return any(failure.at >= killed_at for failure in job.failures())
