"""Own how the fields of a topic are typed in Elasticsearch: places, dates, keywords and numbers.

An event type that `records` declares is taken strictly: a field of another type, or one that the type does not
have, makes Elasticsearch refuse the document. What other topics hold is typed as it comes.

    >>> mappings.of_topic("transactions")["properties"]["amount"]
    {'type': 'double', 'coerce': False}
"""

from __future__ import annotations

from typing import Any

import msgspec

from kernel_lib.records import EVENT_TYPES, Location

# Without coercion "12" is no number. (The jobs are more lenient: Flink reads it as one.)
_KINDS: dict[Any, dict[str, Any]] = {
    str: {"type": "keyword"},
    float: {"type": "double", "coerce": False},
    int: {"type": "long", "coerce": False},
    Location: {"type": "geo_point"},
}
_DATES = {
    "timestamp": {"type": "date", "format": "strict_date_time"},
    "sentAt": {"type": "date", "format": "epoch_millis"},
}
# Lucene takes no longer term, 32,766 bytes: what is longer is kept, and not searched.
_KEYWORD = {"type": "keyword", "ignore_above": 8191}
_AS_IT_COMES = {
    "dynamic": True,
    "dynamic_templates": [
        {"strings": {"match_mapping_type": "string", "mapping": _KEYWORD}},
        # A first amount of 5 must not make the next one, 5.5, a whole number.
        {"numbers": {"match_mapping_type": "long", "mapping": {"type": "double"}}},
    ],
    "properties": {**_DATES, "location": _KINDS[Location]},
}


def of_topic(topic: str) -> dict[str, Any]:
    """Return the mappings of the index of a topic, by its short name, as Elasticsearch wants them."""
    if topic not in EVENT_TYPES:
        return _AS_IT_COMES
    fields = msgspec.structs.fields(EVENT_TYPES[topic])
    return {
        "dynamic": "strict",
        "properties": {field.name: _DATES.get(field.name, _KINDS[field.type]) for field in fields},
    }
