"""Own bulk requests to Elasticsearch: where it is, what is sent, and what it says of each document.

    >>> elasticsearch = Elasticsearch.from_environment(os.environ)
    >>> bulk.write(elasticsearch, "course-user-events", [("r-1", '{"eventId": "r-1"}')])
    []

The variables are those of `kernel_lib.settings`, as for Kafka in `connectors`.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flink_jobs import connectors
from kernel_lib.records import INDEX_PREFIX

VARIABLES = ("ELASTICSEARCH_URL", "ELASTICSEARCH_USER", "ELASTICSEARCH_PASSWORD", "ELASTICSEARCH_INDEX_PREFIX")
ANSWER_SECONDS = 30.0
ANSWER = "filter_path=errors,items.*.status,items.*.error"

Document = tuple[str, str]
"""An id, at most 512 printable ASCII characters without quotes and backslashes, and the text of a JSON object."""

Refusal = tuple[int, str]
"""The position of a document in its request, and why Elasticsearch does not take it, in its own words."""


class Unavailable(Exception):
    """Elasticsearch does not answer, or has no room now: the same request may succeed later."""


class Refused(Exception):
    """Elasticsearch refuses a whole request; it would the next time."""


@dataclass(frozen=True)
class Elasticsearch:
    """An Elasticsearch cluster as a Flink job sees it; the password is in no repr."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    index_prefix: str = INDEX_PREFIX

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Elasticsearch:
        """Read the variables from `environment`, and those that it lacks from the course's files."""
        values = connectors.variables(VARIABLES, environment)
        return cls(
            url=values["ELASTICSEARCH_URL"].rstrip("/"),
            user=values.get("ELASTICSEARCH_USER", ""),
            password=values.get("ELASTICSEARCH_PASSWORD", ""),
            index_prefix=values.get("ELASTICSEARCH_INDEX_PREFIX", INDEX_PREFIX),
        )


def write(elasticsearch: Elasticsearch, index: str, documents: Sequence[Document]) -> list[Refusal]:
    """Write documents, each under its id, and return those that Elasticsearch does not take.

    Raises Unavailable when the same request may succeed later, and Refused when it will not. Written again, a document
    replaces itself.
    """
    url = f"{elasticsearch.url}/{index}/_bulk?{ANSWER}"
    request = urllib.request.Request(url, body(documents), _headers(elasticsearch))
    try:
        # Without the proxies that the environment may name: services of the course are reached directly.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return refusals(json.load(answer))
    except urllib.error.HTTPError as error:
        raise _error(error.code, f"{elasticsearch.url} answered HTTP {error.code}: {error.reason}") from None
    except OSError as error:
        raise Unavailable(f"Elasticsearch at {elasticsearch.url} does not answer: {error}") from error


def body(documents: Sequence[Document]) -> bytes:
    """Return the body of a bulk request: a line that says what to do, and the document in the next one."""
    # Outside of strings, where JSON allows none, a line break means the same as a space.
    lines = (f'{{"index":{{"_id":"{name}"}}}}\n{_in_one_line(text)}\n' for name, text in documents)
    return "".join(lines).encode()


def refusals(answer: Mapping[str, Any]) -> list[Refusal]:
    """Return what Elasticsearch did not take; raises Unavailable or Refused if that is not the document's fault."""
    found = []
    for position, item in enumerate(answer.get("items", ())):
        status, error = item["index"]["status"], item["index"].get("error")
        if error and status != HTTPStatus.BAD_REQUEST:
            raise _error(status, words(error))
        if error:
            found.append((position, words(error)))
    return found


def words(error: Mapping[str, Any]) -> str:
    """Return what Elasticsearch says of an error, with its cause."""
    said = f"{error['type']}: {error['reason']}"
    return f"{said}: {error['caused_by']['reason']}" if "caused_by" in error else said


def _error(status: int, said: str) -> Exception:
    later = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Unavailable(said) if later else Refused(said)


def _headers(elasticsearch: Elasticsearch) -> dict[str, str]:
    headers = {"Content-Type": "application/x-ndjson"}
    if elasticsearch.user:
        login = f"{elasticsearch.user}:{elasticsearch.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    return headers


def _in_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")
