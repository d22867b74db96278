"""Own how times are written in events and results: ISO-8601, in UTC unless it says otherwise.

>>> timestamps.epoch_ms("2026-01-01T00:00:00.250Z")
1767225600250.0
"""

from __future__ import annotations

from datetime import UTC, datetime


def epoch_ms(timestamp: str) -> float:
    """Return an ISO-8601 time, UTC unless it says otherwise, as milliseconds since 1970; raises ValueError."""
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
