import json
from typing import Any

import numpy as np
import pytest
from bokeh.models import ColumnDataSource

from kernel_lib.plots import look
from kernel_lib.plots.canvas import Canvas


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What canvases send to the page."""
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(Canvas, "send", lambda _, content: messages.append(content))
    return messages


def picture() -> tuple[Canvas, ColumnDataSource]:
    source = ColumnDataSource({"x": [0.0], "y": [0.0], "colour": ["red"]})
    plot = look.figure()
    plot.scatter("x", "y", color="colour", source=source)
    return Canvas(plot), source


def test_all_changes_of_a_redraw_are_one_patch_without_buffers(sent: list[dict[str, Any]]) -> None:
    canvas, source = picture()
    source.data = {"x": np.arange(3.0), "y": np.arange(3.0), "colour": ["red"] * 3}
    canvas._model.x_range.end = 5
    assert sent == []
    canvas.flush()
    header, metadata, content = (json.loads(message["payload"]) for message in sent)
    assert header["msgtype"] == "PATCH-DOC"
    assert sent[0]["payload"].startswith('{"msgid"')  # by which the page knows a header
    assert metadata == {}
    assert [event["kind"] for event in content["events"]] == ["ColumnDataChanged", "ModelChanged"]


def test_a_redraw_that_changes_nothing_sends_nothing(sent: list[dict[str, Any]]) -> None:
    canvas, source = picture()
    source.data = {"x": np.array([1.0]), "y": np.array([1.0]), "colour": ["red"]}
    canvas.flush()
    sent.clear()
    source.data = {"x": np.array([1.0]), "y": np.array([1.0]), "colour": ["red"]}
    canvas.flush()
    canvas.flush()
    assert sent == []


def test_what_the_page_itself_has_changed_is_not_sent_to_it(sent: list[dict[str, Any]]) -> None:
    canvas, _ = picture()
    moved = {"event": "jsevent", "kind": "ModelChanged", "attr": "end", "new": 7}
    canvas._sync_model(canvas, moved | {"model": canvas._model.x_range.ref}, [])
    canvas.flush()
    assert canvas._model.x_range.end == 7
    assert sent == []
