"""Own what an enriched transaction is: the transaction, and what is known about its merchant and its user.

What is not known is null, and then `matched` is false; `merchantCity` is "" for the online shop, which has no city.
"""

from __future__ import annotations

from flink_jobs import events

EVENTS = "transactions"
ADDED = {
    "category": "STRING",
    "merchantCity": "STRING",
    "tier": "STRING",
    "homeCity": "STRING",
    "matched": "BOOLEAN",
}
COLUMNS = ",\n".join([events.columns(EVENTS), *(f"  `{name}` {kind}" for name, kind in ADDED.items())])
