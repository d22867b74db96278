"""Draw one partition as the tape it is: the newest records by offset, and where each reader reads next.

Question: what does reading do to a topic? Nothing: records stay, only the reader's head moves. Fault that changes it:
stop a reader, its head stays behind while the tape moves on.
    before  "Partition 0 of user-events ends before offset 1,204. count_events reads 1,199 next, 5 behind."
    then    "Partition 0 of user-events ends before offset 1,434. count_events reads 1,204 next, 230 behind."

A reader's head is what its group has committed, which is what counts after a restart; while it runs it may have read
more. An empty place is an offset without a record for readers: the end of a transaction, or what one left undone.

    >>> plots.RecordTape(live.TopicTail("user-events"), partition=0, groups=["count_events"])
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import groups as consumer_groups
from kernel_lib import live
from kernel_lib.errors import MalformedRecord
from kernel_lib.groups import Position
from kernel_lib.kafka_client import Record
from kernel_lib.plots import look
from kernel_lib.plots.view import View, first_reason, no_data_since, stale_because

CELLS = 20
MOST_KINDS = 32
ROOM = 4
TYPE_FIELDS = ("eventType", "deviceType", "status")
Columns = dict[str, Any]


class Cell(NamedTuple):
    """A record on the tape: its offset, what kind of event it is, its key, and when it was appended or made."""

    offset: int
    kind: str
    key: str
    at_ms: int


class Head(NamedTuple):
    """Where a reader reads next (-1: it has not committed yet), and where the partition ends."""

    reader: str
    next_offset: int
    end: int


def cell(record: Record) -> Cell:
    """Return what the tape shows of a record; one that is not JSON is "malformed"."""
    try:
        value = record.json()
    except MalformedRecord:
        kind = "malformed"
    else:
        fields = value if isinstance(value, dict) else {}
        kind = next((str(fields[name]) for name in TYPE_FIELDS if name in fields), "record")
    return Cell(record.offset, kind, (record.key or b"").decode(errors="replace"), record.timestamp_ms)


def end_of(cells: Sequence[Cell], heads: Sequence[Head]) -> int:
    """Return the offset that the next record gets, as far as it is known."""
    return max([head.end for head in heads] + ([cells[-1].offset + 1] if cells else [0]))


def cell_columns(cells: Sequence[Cell], end: int, kinds: Sequence[str]) -> Columns:
    """Return one row a place of the tape that is shown, the empty ones too; `kinds` gives each kind its colour."""
    known = {each.offset: each for each in cells}
    shown = [known.get(offset, Cell(offset, "", "", 0)) for offset in range(max(0, end - CELLS), end)]
    return {
        "x": [each.offset for each in shown],
        "offset": [f"{each.offset:,}" if each.offset % 5 == 0 else "" for each in shown],
        "kind": [each.kind or "no record" for each in shown],
        "key": [each.key or "none" for each in shown],
        "at": [each.at_ms for each in shown],
        "colour": [colour(each.kind, kinds) for each in shown],
        "alpha": [0.85 if each.kind else 0.0 for each in shown],
        "initials": [initials(each.kind) for each in shown],
        "ink": [look.ink_on(colour(each.kind, kinds)) for each in shown],
    }


def colour(kind: str, kinds: Sequence[str]) -> str:
    """Return the colour of a kind of event: by the order in which the kinds came; all after the first 32 share one."""
    return look.PALETTE[kinds.index(kind) % len(look.PALETTE)] if kind in kinds else look.INK


def initials(kind: str) -> str:
    """Return the first letter of each word of a kind: page_view is "pv", purchase "p"."""
    return "".join(word[:1] for word in kind.split("_"))


def head_columns(heads: Sequence[Head], end: int) -> Columns:
    """Return one row a reader: where its head is; one that is further back is at the edge and says how far."""
    first = max(0, end - CELLS)
    return {
        "x": [max(head.next_offset, first) - 0.5 for head in heads],
        "y": [-0.95 - 0.55 * number for number in range(len(heads))],
        "text": [f"{'◀ ' if head.next_offset < first else ''}{_place(head)}" for head in heads],
        "colour": [look.PALETTE[(number + 5) % len(look.PALETTE)] for number in range(len(heads))],
    }


def _place(head: Head) -> str:
    if head.next_offset < 0:
        return f"{head.reader} has not committed yet"
    behind = head.end - head.next_offset
    return f"{head.reader} reads {head.next_offset:,} next" + (f", {behind:,} behind" if behind else ", at the end")


def tape_sentence(topic: str, partition: int, cells: Sequence[Cell], heads: Sequence[Head]) -> str:
    """Return where the partition ends, where the readers are, and what the newest records are, in words."""
    said = [f"Partition {partition} of {topic} ends before offset {end_of(cells, heads):,}."]
    said += [f"{_place(head)}." for head in heads]
    counts = Counter(each.kind for each in cells)
    if counts:
        kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common(4))
        said.append(f"The newest {len(cells)} records: {kinds}.")
    return " ".join(said)


class RecordTape(View):
    """One partition of the topic that `tail` follows, with the heads of some consumer groups."""

    def __init__(
        self,
        tail: live.TopicTail,
        *,
        partition: int = 0,
        groups: Sequence[str] = (),
        read: Callable[[str], Mapping[int, Position]] | None = None,
        name: str = "record tape",
    ) -> None:
        self.tail, self.partition = tail, partition
        ask = read or (lambda group: consumer_groups.positions(group, tail.topic, settings=tail.settings))
        self._readers = {group: live.Poller(partial(ask, group), every_seconds=1.0) for group in groups}
        self._cells: deque[Cell] = deque(maxlen=CELLS)
        self._kinds: list[str] = []
        self.heads = ColumnDataSource(head_columns([], 0))
        source = ColumnDataSource(cell_columns([], 0, []))
        figure, title = self._figure(source, len(groups)), f"Partition {partition} of {tail.topic}"
        super().__init__(figure, source, title=title, name=name, reads=[tail, *self._readers.values()])

    def draw(self) -> str:
        new = [cell(record) for record in self.tail.poll() if record.partition == self.partition]
        self._cells.extend(new)
        fresh = [kind for kind in dict.fromkeys(each.kind for each in new) if kind not in self._kinds]
        self._kinds += fresh[: MOST_KINDS - len(self._kinds)]
        read = self._heads()
        end = end_of(self._cells, read)
        # The tape may know a newer end than the reader of the heads: count as the picture does.
        heads = [head._replace(end=end) for head in read]
        self.source.data = cell_columns(self._cells, end, self._kinds)
        self.heads.data = head_columns(heads, end)
        self.root.x_range.update(start=end - CELLS - 1, end=end + ROOM)
        self.quiet_because = first_reason(self.tail.problem, *map(stale_because, self._readers.values()))
        if self.quiet_because:
            return no_data_since(self.tail.last_record_at, self.quiet_because)
        return tape_sentence(self.tail.topic, self.partition, self._cells, heads)

    def _heads(self) -> list[Head]:
        found = ((group, (poller.poll() or {}).get(self.partition)) for group, poller in self._readers.items())
        return [Head(group, place.committed, place.high) for group, place in found if place is not None]

    def _figure(self, source: ColumnDataSource, heads: int) -> Any:
        tips = [("offset", "@x{0,0}"), ("", "@kind"), ("key", "@key"), ("at", "@at{%H:%M:%S.%3N}")]
        hover = HoverTool(tooltips=tips, formatters={"@at": "datetime"}, point_policy="follow_mouse")
        bottom = -1.3 - 0.55 * heads
        plot = look.bare(
            look.figure(
                height=int(120 + 32 * heads), hover=hover, x_range=Range1d(start=0, end=CELLS),
                y_range=Range1d(start=bottom, end=1.0),
            )
        )  # fmt: skip
        cells = plot.rect(
            "x", 0, width=0.88, height=0.9, source=source, fill_color="colour", fill_alpha="alpha",
            line_color=look.INK, line_alpha=0.5, border_radius=3,
        )  # fmt: skip
        hover.renderers = [cells]
        look.text(plot, "x", 0, "initials", source, text_color="ink", text_font_style="bold")
        look.text(plot, "x", 0.72, "offset", source, text_color=look.INK, text_font_size="12px")
        plot.segment("x", -0.5, "x", "y", source=self.heads, line_color="colour", line_width=3)
        look.text(
            plot, "x", "y", "text", self.heads,
            text_color=look.INK, text_align="left", text_font_style="bold", x_offset=6,
        )  # fmt: skip
        return plot
