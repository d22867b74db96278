"""Own how a savepoint is asked of Flink's REST interface and waited for.

>>> savepoints.write(settings, job.id, job.name, "savepoints", {})
'file:/.../savepoint-5d7d6c-0a1b2c'
"""

from __future__ import annotations

from typing import Any

from kernel_lib import cluster
from kernel_lib.errors import JobFailed
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

WRITTEN_SECONDS = 60.0
_NOT_EXECUTING = "job is currently not executing"


class NotExecuting(JobFailed):
    """The job was just failing: it runs again soon, or ends."""


def write(settings: Settings, job_id: str, name: str, command: str, body: dict[str, Any]) -> str:
    """Ask a job for a savepoint by `command`, "savepoints" or "stop"; return where it is.

    Raises JobFailed, WaitTimeout, ServiceUnavailable.
    """
    request = cluster.call(settings, "POST", f"/jobs/{job_id}/{command}", body)["request-id"]
    path = f"/jobs/{job_id}/savepoints/{request}"
    operation = wait_until(
        lambda: _completed(cluster.get(settings, path)), WRITTEN_SECONDS, f"the savepoint of job {name}"
    )
    if "failure-cause" not in operation:
        return str(operation["location"])
    cause = cluster.root_cause(operation["failure-cause"]["stack-trace"])
    kind = NotExecuting if _NOT_EXECUTING in cause else JobFailed
    raise kind(f"Job {name} wrote no savepoint.", cause=cause, remedy="job.failure(), job.cancel()")


def _completed(savepoint: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a savepoint; empty while it is not complete."""
    return dict(savepoint["operation"]) if savepoint["status"]["id"] == "COMPLETED" else {}
