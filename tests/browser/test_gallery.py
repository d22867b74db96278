"""Every view on one page, fed by the real pipeline: its data and its pixels change, and its text says what it shows."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Locator, Page

from infra.lab_page import opened, run_all
from kernel_lib.errors import WaitTimeout
from kernel_lib.waiting import wait_until
from tests.browser.lab_page import SCREENSHOTS, Address, command, wait_for_words

# Title of each view, and what its line of text says while all is well.
VIEWS = {
    "Event time against arrival": r"The watermark is at .* behind the clock",
    "Partition 0 of user-events": r"ends before offset [\d,]+\. count_events (reads|has)",
    "Windows of 1 s in count_events": r"The newest closed window ends at .*: \d+ events counted",
    "Where user-events happen": r"\d+ events in the last 30 s from \d+ cities; most near",
    "End-to-end latency of processed-events": r"Half of the \d+ results of the last 10 s took at most",
    "Events per second, by type": r"\d+ events/s: page_view",
    "What happens in user-events": r"\d+ events of the last 60 s by eventType: page_view",
    "Sent against received": r"processed-events: .* 0 duplicate",
    "Missing and duplicate, lane by lane": r"[\d,]+ sent\. raw: \d+ .*; relay: \d+ .*, 0 duplicate\. Readers",
    "Where the time of count_events goes": r"No task is held back; the busiest is .*, busy \d+%",
    "Job count_events, records per second": r"user-events → read user-events \d+/s",
    "Checkpoints of count_events": r"Checkpoint \d+ took",
    "Failure and recovery of processed-events": r"\d+ results/s; the job has not failed",
    "Errors per second": r"^[\d.]+ errors/s, [\d.]+% of (5|6)\d events/s sent",
    "Throughput, records per second": r"Records/s, and the most of the last minute: user-events \d",
    "What the services take of this machine": r"All together use \d+% of a core",
    "Trends in system-metrics": r"[\d.,]+ .*, from [\d.,]+ to [\d.,]+ in the last 30 s",
    "Kafka brokers and user-events, metrics": r"3 of 3 brokers are up; all 18 replicas of user-events are in sync",
    "Jobs of the cluster": r"3 jobs run in 3 of \d slots: test-browser.count_events \(1 slot, .*No failure",
    "Services": r"\d of \d services are healthy",
    "Records behind": r"count_events (keeps up|is \d+ records? behind|has committed)",
    "The pipeline, records per second": r"producers → user-events \d+/s",
}
# The column that moves with a view's data: axes, and some columns, move with the clock also when no data comes.
# The brokers and the services stand still until something is broken, which tests/services/test_views_kafka.py does.
MOVING = {
    "Event time against arrival": "arrived",
    "Partition 0 of user-events": "at",
    "Windows of 1 s in count_events": "left",
    "Where user-events happen": "lon",
    "End-to-end latency of processed-events": "at",
    "Events per second, by type": "window_end",
    "What happens in user-events": "count",
    "Sent against received": "not_there",
    "Missing and duplicate, lane by lane": "not_there",
    "Where the time of count_events goes": "share",
    "Job count_events, records per second": "rate",
    "Checkpoints of count_events": "id",
    "Failure and recovery of processed-events": "at",
    "Errors per second": "at",
    "Throughput, records per second": "rate",
    "What the services take of this machine": "cpu",
    "Trends in system-metrics": "at",
    "Jobs of the cluster": "right",
    "Records behind": "end",
    "The pipeline, records per second": "rate",
}
# The newest rows only: the oldest ones leave by the clock.
NEWEST = """(view, column) => {
    const roots = Bokeh.index.roots.filter(root => view.contains(root.el));
    const models = roots.flatMap(root => [...root.model.document._all_models.values()]);
    const found = models.filter(model => model.type === "ColumnDataSource" && column in model.data);
    return JSON.stringify(found.map(source => Array.from(source.data[column]).slice(-5)));
}"""
# Those that are not wholly on the page, or wider than their cell.
UNFIT = """views => views.filter(view => {
    const {top, bottom} = view.getBoundingClientRect();
    return top < 0 || bottom > innerHeight || view.scrollWidth > view.clientWidth + 1;
}).map(view => [view.innerText.slice(0, 40), view.getBoundingClientRect().toJSON(), view.scrollWidth])"""
# Its pixels are not all of one colour.
DRAWN = """pictures => pictures.map(picture => [...picture.shadowRoot.querySelectorAll("canvas")].some(canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some((value, at) => value !== pixels[at % 4]);
}))"""
WIDTHS = (1280, 1920)
# So high that no view is out of sight.
PAGE_PIXELS = 11_000


@pytest.fixture(scope="module")
def gallery(window: Browser, address: Address) -> Iterator[Page]:
    page = opened(window, address("gallery.ipynb"), scale=1)
    run_all(page, last_button="close the gallery")
    yield page
    page.get_by_role("button", name="close the gallery").click()
    page.get_by_text("close the gallery: stopped after").wait_for(state="attached", timeout=60_000)
    page.close()


def view_of(gallery: Page, title: str) -> Locator:
    return gallery.locator(".course-view", has=gallery.get_by_text(re.compile(f"^{re.escape(title)}"))).first


def wait_for_movement(gallery: Page, title: str, column: str) -> None:
    """Wait until a view has newer data in its sources, and another picture."""
    view = view_of(gallery, title)
    picture = view.locator(".bk-Figure").first
    picture.scroll_into_view_if_needed()
    drawn, known = picture.screenshot(), view.evaluate(NEWEST, column)
    assert known != "[]", f"no source of {title!r} has a column {column!r}"
    wait_until(lambda: view.evaluate(NEWEST, column) != known, 60, f"newer data in {title!r}")
    wait_until(lambda: picture.screenshot() != drawn, 60, f"the picture of {title!r} to change")


@pytest.mark.parametrize("title", VIEWS)
def test_the_words_of_a_view_say_what_it_shows(gallery: Page, title: str) -> None:
    wait_for_words(view_of(gallery, title), VIEWS[title])


@pytest.mark.parametrize("title", MOVING)
def test_the_data_and_the_pixels_of_a_view_change_while_data_flows(gallery: Page, title: str) -> None:
    wait_for_movement(gallery, title, MOVING[title])


def test_a_picture_that_comes_onto_the_page_in_the_middle_of_a_patch_takes_the_next_one(gallery: Page) -> None:
    """Fails without the mended receiver of `plots.load`: it takes the parts for one another for ever."""
    parts = ["{}", '{"events": []}', '{"msgid":"1","msgtype":"PATCH-DOC"}', "{}", '{"events": [1]}']
    received = gallery.evaluate(
        """parts => {
            const {Receiver} = Bokeh.require("protocol/receiver");
            const receiver = new Receiver();
            parts.forEach(part => receiver.consume(part));
            return receiver.message && receiver.message.content;
        }""",
        parts,
    )
    assert received == {"events": [1]}


def test_the_page_does_not_send_back_what_it_draws(gallery: Page) -> None:
    frames: list[str] = []
    network = gallery.context.new_cdp_session(gallery)
    network.on("Network.webSocketFrameSent", lambda frame: frames.append(_text(frame["response"])))
    network.send("Network.enable")
    picture = view_of(gallery, "Events per second, by type").locator(".bk-Figure").first
    before = picture.screenshot()
    wait_until(lambda: picture.screenshot() != before, 60, "a redraw")
    network.detach()
    assert [frame for frame in frames if '"attr":"data"' in frame] == []


def _text(frame: dict[str, str | int]) -> str:
    payload = str(frame["payloadData"])
    binary = frame["opcode"] == 2  # of RFC 6455
    return base64.b64decode(payload).decode(errors="replace") if binary else payload


def test_a_switch_in_the_page_silences_a_partition(gallery: Page) -> None:
    knob = gallery.locator(".course-knob", has_text="silence partition 2")
    knob.get_by_role("checkbox").check()
    wait_for_words(knob, r"In force: silent, acknowledged after [\d,.]+ ms")
    wait_for_words(view_of(gallery, "Event time against arrival"), r"it waits for partition 2")
    knob.get_by_role("checkbox").uncheck()
    wait_for_words(knob, r"In force: sending")


@pytest.mark.timeout(400)  # four photographs of a page that a processor draws
def test_every_view_fits_its_page_in_light_and_dark(gallery: Page) -> None:
    photograph_in_light_and_dark(gallery, "gallery", VIEWS)


def photograph_in_light_and_dark(gallery: Page, name: str, words: dict[str, str]) -> None:
    """Save the whole page at two widths in both themes, when each view says its words; the page stays dark."""
    for title, pattern in words.items():
        wait_for_words(view_of(gallery, title), pattern)
    photograph(gallery, f"{name}_light", views=len(words))
    command(gallery, "Use Theme: JupyterLab Dark")
    gallery.locator("body[data-jp-theme-light='false']").wait_for(state="attached", timeout=30_000)
    photograph(gallery, f"{name}_dark", views=len(words))


def photograph(gallery: Page, name: str, *, views: int) -> None:
    """Save the whole page at two widths; each view is on it, drawn, and no wider than its cell."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    shown, pictures = gallery.locator(".course-view"), gallery.locator(".course-view .bk-Canvas")
    for width in WIDTHS:
        gallery.set_viewport_size({"width": width, "height": PAGE_PIXELS})
        gallery.locator(".jp-WindowedPanel-outer").evaluate("cells => cells.scrollTo(0, 0)")
        with suppress(WaitTimeout):
            wait_until(lambda: not shown.evaluate_all(UNFIT), 30, "each view to be on the page, no wider than its cell")
        assert shown.evaluate_all(UNFIT) == []
        wait_until(lambda: all(pictures.evaluate_all(DRAWN)), 30, "each picture to be drawn")
        assert min(shown.count(), pictures.count()) >= views  # more pictures: some views have two, one has none
        gallery.screenshot(path=SCREENSHOTS / f"{name}_{width}.png", timeout=180_000)
