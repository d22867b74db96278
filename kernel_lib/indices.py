"""Own the Elasticsearch client: make, fill, search, count and delete indices.

Names are the short ones ("alerts"); the index prefix and the namespace of the settings come before them.

    >>> indices.put("alerts", {"userId": {"type": "keyword"}, "timestamp": {"type": "date"}})
    >>> indices.count("alerts")
    0
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain
from typing import Any, NamedTuple
from zlib import crc32

from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    BadRequestError,
    Elasticsearch,
    NotFoundError,
    UnsupportedProductError,
)
from elasticsearch.exceptions import HTTP_EXCEPTIONS

from kernel_lib.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CourseError,
    NotFound,
    PermissionRefused,
    ServiceUnavailable,
)
from kernel_lib.settings import Settings, load

ANSWER_SECONDS = 8.0
# A bulk request that times out is sent again, which makes a slow machine slower.
BULK_SECONDS = 30.0
BULK_BYTES = 5_000_000
# Elasticsearch works on one request in one thread.
BULK_LANES = 2
# Its warnings say what our errors say, once more and below them.
logging.getLogger("elastic_transport").setLevel(logging.ERROR)
# One node: a replica would have nowhere to live, and the index would stay yellow.
INDEX_SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0}
_BULK_ANSWER = "errors,items.*.status,items.*.error"


@dataclass(frozen=True)
class Found:
    """What a search found: how many in all, the first documents, and the aggregations by name."""

    total: int
    documents: list[dict[str, Any]]
    aggregations: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A document that Elasticsearch does not take: its position in the call, and why, in Elasticsearch's words."""

    position: int
    reason: str


class _Line(NamedTuple):
    """A document as a part of a bulk request, and its position in the call."""

    position: int
    text: bytes


@dataclass(frozen=True)
class Written:
    """A document: the number of the write that made it what it is, how often it was written, the value of one field."""

    number: int
    version: int
    value: str


def put(name: str, mapping: Mapping[str, Any], *, settings: Settings | None = None) -> bool:
    """Make an index whose fields are typed as `mapping` says, or add the fields to one that exists.

    Returns whether it was made. Raises CourseError when a field has another type already.
    """
    settings = settings or load()
    with _asking(settings, name) as client:
        return _make(client, settings.index(name), {"properties": mapping})


def put_template(name: str, mappings: Mapping[str, Any], *, settings: Settings | None = None) -> bool:
    """Make an index as `put` does, and keep its mappings as a template: deleted, the next document makes it again.

    `mappings` may have all that Elasticsearch knows there ("dynamic", "properties", ...). Returns whether the
    index was made. Raises CourseError when a field has another type already.
    """
    settings = settings or load()
    index = settings.index(name)
    with _asking(settings, name) as client:
        # First: it is refused for an index outside the prefix, while a template may have any name.
        made = _make(client, index, mappings)
        template = {"settings": INDEX_SETTINGS, "mappings": mappings}
        client.indices.put_index_template(name=index, index_patterns=[index], template=template, allow_auto_create=True)
    return made


def delete_templates(names: str = "*", *, settings: Settings | None = None) -> None:
    """Delete the templates of this namespace whose name matches a pattern; harmless when none does."""
    settings = settings or load()
    with _asking(settings) as client, suppress(NotFoundError):
        client.indices.delete_index_template(name=settings.index(names))


def _make(client: Elasticsearch, index: str, mappings: Mapping[str, Any]) -> bool:
    try:
        client.indices.create(index=index, mappings=mappings, settings=INDEX_SETTINGS)
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise
        client.indices.put_mapping(index=index, **mappings)
        return False
    return True


def write(name: str, documents: Iterable[tuple[str, bytes]], *, settings: Settings | None = None) -> list[Refusal]:
    """Write documents, the text of JSON objects, each under its id, replacing one there; return those refused.

    An id is at most 512 printable ASCII characters without quotes and backslashes. Raises ServiceUnavailable (also
    for 429 and 503 about one document), NotFound or another CourseError when documents were not taken for a
    reason that is not theirs: then write all of them again, which changes nothing for those that are there.
    """
    settings = settings or load()
    with ThreadPoolExecutor(BULK_LANES) as lanes:
        refused = chain.from_iterable(lanes.map(partial(_write_lane, name, settings), _lanes(documents)))
        return sorted(refused, key=lambda refusal: refusal.position)


def _lanes(documents: Iterable[tuple[str, bytes]]) -> list[list[_Line]]:
    """Share documents out, those with one id to one lane, so that the last of them stays."""
    lanes: list[list[_Line]] = [[] for _ in range(BULK_LANES)]
    for position, (name, document) in enumerate(documents):
        identity = name.encode()
        # Outside of strings, where JSON allows none, a line break means the same as a space.
        text = b'{"index":{"_id":"%b"}}\n%b\n' % (identity, document.replace(b"\n", b" "))
        lanes[crc32(identity) % BULK_LANES].append(_Line(position, text))
    return lanes


def _write_lane(name: str, settings: Settings, lines: Iterable[_Line]) -> list[Refusal]:
    refused: list[Refusal] = []
    with _asking(settings, name) as client:
        patient, index = client.options(request_timeout=BULK_SECONDS), settings.index(name)
        for part in _bounded(lines):
            body = b"".join([line.text for line in part])
            answer = patient.bulk(index=index, operations=body, filter_path=_BULK_ANSWER)  # type: ignore[arg-type]
            if answer["errors"]:
                refused += _refusals(part, answer)
    return refused


def _bounded(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    """Yield the lines of one request after the other."""
    part: list[_Line] = []
    size = 0
    for line in lines:
        if part and size + len(line.text) > BULK_BYTES:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line.text)
    if part:
        yield part


def _refusals(part: list[_Line], answer: ObjectApiResponse[Any]) -> Iterator[Refusal]:
    for (position, _), item in zip(part, answer["items"], strict=True):
        status, error = item["index"]["status"], item["index"].get("error")
        if error and status != 400:
            kind = HTTP_EXCEPTIONS.get(status, ApiError)
            raise kind(error["type"], replace(answer.meta, status=status), {"error": error})
        if error:
            yield Refusal(position, _words(error))


def list_names(*, settings: Settings | None = None) -> list[str]:
    """Return the short names of the indices of this namespace."""
    settings = settings or load()
    prefix = settings.index("")
    with _asking(settings) as client:
        found = client.indices.get(index=f"{prefix}*", filter_path="*.settings.index.uuid")
    return sorted(index.removeprefix(prefix) for index in found)


def count(name: str, *, settings: Settings | None = None) -> int:
    """Return how many documents an index has, those included that were written just now."""
    settings = settings or load()
    with _asking(settings, name) as client:
        client.indices.refresh(index=settings.index(name))
        return int(client.count(index=settings.index(name))["count"])


def search(
    name: str,
    query: Mapping[str, Any] | None = None,
    *,
    size: int = 10,
    sort: str = "",
    aggregations: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
) -> Found:
    """Search an index with a query of Elasticsearch's query language; without one, everything is found.

    `sort` is "field" or "field:desc". What was written in the last second may not be found yet.
    """
    settings = settings or load()
    with _asking(settings, name) as client:
        body = client.search(
            index=settings.index(name),
            query=query or {"match_all": {}},
            size=size,
            sort=sort or None,
            aggregations=aggregations,
            track_total_hits=True,
        )
    hits = body["hits"]
    return Found(hits["total"]["value"], [hit["_source"] for hit in hits["hits"]], body.get("aggregations", {}))


def written_after(
    name: str, number: int, field_name: str, *, size: int = 1000, settings: Settings | None = None
) -> list[Written]:
    """Return one field of the documents written after write `number` (-1: all), those written first before the others.

    A document that was written again has its new number only. Documents without the field have "". A write follows
    when all before it have ended.
    """
    settings = settings or load()
    with _asking(settings, name) as client:
        ended = _all_ended(client, settings.index(name))
        client.indices.refresh(index=settings.index(name))
        body = client.search(
            index=settings.index(name),
            query={"range": {"_seq_no": {"gt": number, "lte": ended}}},
            sort=["_seq_no"],
            size=size,
            source_includes=[field_name],
            version=True,
        )
    hits = body["hits"]["hits"]
    return [Written(hit["sort"][0], hit["_version"], str(hit["_source"].get(field_name, ""))) for hit in hits]


def _all_ended(client: Elasticsearch, index: str) -> int:
    """Return the number up to which all writes have ended: of requests side by side a later one may end first."""
    stats = client.indices.stats(index=index, metric="docs", level="shards")
    (shard,) = stats["indices"][index]["shards"].values()
    return int(shard[0]["seq_no"]["local_checkpoint"])


def delete(name: str, *, settings: Settings | None = None) -> None:
    """Delete an index with its documents. Raises NotFound when there is none."""
    settings = settings or load()
    with _asking(settings, name) as client:
        client.indices.delete(index=settings.index(name))


@contextmanager
def translated(settings: Settings, name: str = "") -> Iterator[None]:
    """Raise errors of this library for what the Elasticsearch client raises inside."""
    try:
        yield
    except (ApiError, TransportError, UnsupportedProductError) as error:
        raise _error_for(error, settings, name) from error


@contextmanager
def _asking(settings: Settings, name: str = "") -> Iterator[Elasticsearch]:
    with translated(settings, name):
        yield client(settings)


def client(settings: Settings) -> Elasticsearch:
    """Return the client for a cluster; the same one for the same settings. Raises ConfigurationError."""
    login = (settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value())
    try:
        return _client(settings.elasticsearch_url, login if settings.elasticsearch_user else None)
    except ValueError as error:
        raise ConfigurationError(
            f"ELASTICSEARCH_URL is {settings.elasticsearch_url!r}.",
            cause=str(error),
            remedy="write scheme, host and port: https://host:9243",
        ) from error


@lru_cache(maxsize=8)
def _client(url: str, login: tuple[str, str] | None) -> Elasticsearch:
    # No retries: who waits for Elasticsearch does so with wait_until, and a lesson shows the outage.
    return Elasticsearch(url, basic_auth=login, request_timeout=ANSWER_SECONDS, max_retries=0)


def _error_for(error: Exception, settings: Settings, name: str) -> CourseError:
    address, user = settings.elasticsearch_url, settings.elasticsearch_user or "nobody"
    index = settings.index(name) if name else ""
    about = f" index {index}" if index else " this"
    match error:
        case AuthenticationException():
            remedy = "check ELASTICSEARCH_USER and ELASTICSEARCH_PASSWORD, or run ./course up again"
            return AuthenticationFailed("Elasticsearch", address, f"user {user!r}: HTTP 401", remedy)
        case AuthorizationException():
            return PermissionRefused(
                f"Elasticsearch does not let {user} use{about}.",
                cause=_reason(error),
                remedy="ELASTICSEARCH_INDEX_PREFIX must be one that this user may use",
            )
        case NotFoundError() if error.error == "index_not_found_exception":
            return NotFound(f"There is no index {index!r}.", cause=_reason(error), remedy="indices.put makes one")
        case ApiError() if error.status_code not in (429, 503):
            return CourseError(f"Elasticsearch refused a request about{about}.", cause=_reason(error))
        case ApiError():
            return ServiceUnavailable("Elasticsearch", address, _reason(error))
        case _:
            return ServiceUnavailable("Elasticsearch", address, str(error.args[0]))


def _reason(error: ApiError) -> str:
    """Return Elasticsearch's own words."""
    body = error.body if isinstance(error.body, dict) else {}
    said = body.get("error")
    return _words(said) if isinstance(said, dict) else f"HTTP {error.status_code}: {error.body}"


def _words(error: dict[str, Any]) -> str:
    said = f"{error['type']}: {error['reason']}"
    return f"{said}: {error['caused_by']['reason']}" if "caused_by" in error else said
