"""Own the way of a Bokeh model to the notebook page: one patch a redraw, and none of it back.

jupyter_bokeh alone sends each column of each source as a message of its own, and the page answers each with the whole
column. With ten pictures these messages are most of the work of kernel, JupyterLab and browser.
"""

from __future__ import annotations

from typing import Any

from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document.events import DocumentPatchedEvent
from bokeh.io import output_notebook
from bokeh.protocol.messages.patch_doc import patch_doc
from bokeh.resources import Resources
from IPython.display import HTML, Javascript, display
from jupyter_bokeh import BokehModel

from kernel_lib.plots import look, refresher

# A change that came from the kernel is marked as not to be synchronised; jupyter_bokeh does not look at the mark.
# And a picture that comes onto the page between the three parts of a patch would take them for one another for ever,
# and stay empty: a header begins a patch, whatever came before.
_MENDED = """
(function mend() {
    if (window.Bokeh === undefined) {
        setTimeout(mend, 50);
        return;
    }
    const {Document} = window.Bokeh.require("document");
    if (Document.course_tells_all !== undefined) {
        return;
    }
    Document.course_tells_all = Document.prototype._trigger_on_change;
    Document.prototype._trigger_on_change = function (event) {
        if (event.sync !== false) {
            Document.course_tells_all.call(this, event);
        }
    };
    const {Receiver} = window.Bokeh.require("protocol/receiver");
    const consume = Receiver.prototype.consume;
    Receiver.prototype.consume = function (part) {
        if (part.startsWith('{"msgid"')) {
            this._current_consumer = this._HEADER;
        }
        consume.call(this, part);
    };
})();
"""


def load() -> None:
    """Bring BokehJS into the notebook page, from this machine; call it once at the top of a notebook."""
    display(HTML(look.STYLE))  # type: ignore[no-untyped-call]
    output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
    display(Javascript(_MENDED))  # type: ignore[no-untyped-call]


class Canvas(BokehModel):  # type: ignore[misc]
    """A Bokeh model in a widget. `flush` sends what has changed; a page loaded again starts from the newest state."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._changes: list[DocumentPatchedEvent] = []
        self._columns: dict[str, Any] = {}  # of each source, as they were sent last
        super().__init__(*args, **options)

    def flush(self) -> None:
        """Send all changes since the last call in one patch; columns that are as they were are no change."""
        changes, self._changes = self._changes, []
        models = self._document.models
        # Columns go into the text of the patch: buffers would be messages more.
        serializer = Serializer(references=models.synced_references, deferred=False)
        events = [event for event in serializer.encode(changes) if not self._is_known(event)]
        models.flush_synced(lambda model: not serializer.has_ref(model))
        if events:
            for part in (patch_doc.create_header(), {}, {"events": events}):
                self.send({"msg": "patch", "payload": serialize_json(part)})

    def get_state(self, *args: Any, **kwargs: Any) -> Any:
        state = super().get_state(*args, **kwargs)
        if "render_bundle" in state:
            with refresher.lock:
                state["render_bundle"] = serialize_json(self._model_to_traits(self._model))
        return state

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        if event.setter is not self:
            self._changes.append(event)

    def _is_known(self, event: dict[str, Any]) -> bool:
        if event["kind"] != "ColumnDataChanged":
            return False
        source, columns = event["model"]["id"], event["data"]
        known = bool(self._columns.get(source) == columns)
        self._columns[source] = columns
        return known

    def _sync_model(self, *args: Any) -> None:
        with refresher.lock:
            super()._sync_model(*args)
