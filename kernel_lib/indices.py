"""Own the Elasticsearch client: make, search, count and delete indices.

Names are the short ones ("alerts"); the index prefix and the namespace of the settings come before them.

    >>> indices.put("alerts", {"userId": {"type": "keyword"}, "timestamp": {"type": "date"}})
    >>> indices.count("alerts")
    0
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from elastic_transport import TransportError
from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    BadRequestError,
    Elasticsearch,
    NotFoundError,
    UnsupportedProductError,
)

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
# Its warnings say what our errors say, once more and below them.
logging.getLogger("elastic_transport").setLevel(logging.ERROR)
# One node: a replica would have nowhere to live, and the index would stay yellow.
INDEX_SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0}


@dataclass(frozen=True)
class Found:
    """What a search found: how many in all, the first documents, and the aggregations by name."""

    total: int
    documents: list[dict[str, Any]]
    aggregations: dict[str, Any] = field(default_factory=dict)


def put(name: str, mapping: Mapping[str, Any], *, settings: Settings | None = None) -> bool:
    """Make an index whose fields are typed as `mapping` says, or add the fields to one that exists.

    Returns whether it was made. Raises CourseError when a field has another type already.
    """
    settings = settings or load()
    index = settings.index(name)
    with _asking(settings, name) as client:
        try:
            client.indices.create(index=index, mappings={"properties": mapping}, settings=INDEX_SETTINGS)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
            client.indices.put_mapping(index=index, properties=mapping)
            return False
    return True


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
    """Return the client for a cluster; the same one for the same settings."""
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
    return f"{said['type']}: {said['reason']}" if isinstance(said, dict) else f"HTTP {error.status_code}: {error.body}"
