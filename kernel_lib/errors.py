"""Own every error a caller of this library meets: what failed, why, and what to do next.

    CourseError
    ├── ConfigurationError          a setting is missing or has a wrong value
    ├── ServiceUnavailable          a service does not answer at its address
    │   └── AuthenticationFailed    it answers, but refuses the user or the password
    ├── PermissionRefused           the user is known, but may not do this
    ├── NotFound                    no such topic, job, service, index or function
    ├── MalformedRecord             a record of a topic cannot be decoded
    ├── JobFailed                   a Flink job ended with an error, or could not be submitted
    │   └── NoFreeSlots             the cluster has no slots left for it
    ├── ProducerFailed              a producer process ended by itself
    ├── IndexerFailed               an indexer process ended by itself
    ├── ServiceControlFailed        supervisor could not start, stop or kill a process
    ├── WaitTimeout                 a condition did not become true in its time budget
    └── OutOfTime                   a call that waits for several things had no time left for the next

Each says what failed with the values, the probable cause, and what to do next:

    >>> raise ServiceUnavailable("Kafka", "127.0.0.1:9092", "connection refused", "./course up")
"""

from __future__ import annotations


class CourseError(Exception):
    """An error with its probable cause and a remedy; a notebook shows it without a traceback."""

    def __init__(self, what: str, *, cause: str = "", remedy: str = "") -> None:
        self.what = what
        self.cause = cause
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        if self.cause:
            parts.append(f"Cause: {self.cause}")
        if self.remedy:
            parts.append(f"Try: {self.remedy}")
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(CourseError):
    """A setting is missing or has a value that cannot be used."""


class ServiceUnavailable(CourseError):
    """A service does not answer at its address."""

    def __init__(self, service: str, address: str, cause: str, remedy: str = "./course status") -> None:
        self.service = service
        self.address = address
        super().__init__(self._sentence(service, address), cause=cause, remedy=remedy)

    @staticmethod
    def _sentence(service: str, address: str) -> str:
        return f"{service} at {address} does not answer."


class AuthenticationFailed(ServiceUnavailable):
    """A service answers, but refuses the user or the password."""

    @staticmethod
    def _sentence(service: str, address: str) -> str:
        return f"{service} at {address} refused the user name or the password."


class PermissionRefused(CourseError):
    """The user is known, but has no right to do this."""


class NotFound(CourseError):
    """No topic, job, service, index or function has this name."""


class MalformedRecord(CourseError):
    """A record of a topic cannot be decoded."""


class JobFailed(CourseError):
    """A Flink job ended with an error, or could not be submitted."""


class NoFreeSlots(JobFailed):
    """The Flink cluster has fewer free slots than the job needs."""


class ProducerFailed(CourseError):
    """A producer process ended by itself."""


class IndexerFailed(CourseError):
    """An indexer process ended by itself."""


class ServiceControlFailed(CourseError):
    """Supervisor could not start, stop, kill, pause or resume a process."""


class WaitTimeout(CourseError):
    """A condition did not become true within its time budget."""


class OutOfTime(CourseError):
    """All waits of one call together took longer than they may."""
