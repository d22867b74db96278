"""Own how every view looks: one palette safe for colour-blind readers, one theme for a light and a dark Lab.

Figures are transparent and their text is a grey that reads on white and on black, because what Bokeh draws
cannot follow JupyterLab's CSS variables; everything that is HTML does follow them. Colour is for marks, not for words.

Nothing is hatched: BokehJS makes a canvas for each hatched bar at each redraw, which is seconds of a browser's time.

    >>> plot = figure(title_of_y="events / s")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure as bokeh_figure

# Okabe and Ito, https://jfly.uni-koeln.de/color/: distinguishable with any common colour blindness.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GOOD, BAD, WARN, QUIET = "#009E73", "#D55E00", "#E69F00", "#8a8f98"
# No grey has the contrast of 4.5:1 (WCAG 2.2, 1.4.3) both with white and with the #111 of JupyterLab's dark theme: with
# white and black a few have, so a dark page gives views a black ground.
INK, LIGHT, DARK = "#73767b", "#ffffff", "#000000"
STYLE = f"<style>[data-jp-theme-light='false'] .course-view {{ background: {DARK} }}</style>"
CROSS = "\N{MULTIPLICATION SIGN}"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def figure(
    *, title_of_y: str = "", title_of_x: str = "", height: int = 300, hover: HoverTool | None = None, **options: Any
) -> Any:
    """Return an empty figure in the look of the course, as wide as its view."""
    options.setdefault("tools", [hover] if hover else [])
    options = {"min_width": 480} | options
    plot: Any = bokeh_figure(height=height, sizing_mode="stretch_width", toolbar_location=None, **options)
    plot.background_fill_alpha = 0
    plot.border_fill_alpha = 0
    plot.outline_line_color = None
    plot.xaxis.axis_label, plot.yaxis.axis_label = title_of_x, title_of_y
    _axes(plot)
    return plot


def timeline(tips: Sequence[tuple[str, str]], **options: Any) -> tuple[Any, HoverTool]:
    """Return a figure over the column `at` (epoch ms), to be moved along and scaled by hand, and its hover."""
    hover = HoverTool(tooltips=[("second", "@at{%H:%M:%S}"), *tips], formatters={"@at": "datetime"})
    ranges: dict[str, Any] = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=0, end=1)}
    plot = figure(hover=hover, x_axis_type="datetime", **ranges, **options)
    clock(plot.xaxis)
    return plot, hover


def text(plot: Any, x: str | float, y: str | float, words: str, source: ColumnDataSource, **options: Any) -> Any:
    """Write the column `words` at (x, y), centred unless told otherwise; return the renderer."""
    centred = {"text_align": "center", "text_baseline": "middle", "text_font_size": "13px"}
    return plot.text(x, y, words, source=source, text_font=value(FONT), **(centred | options))


def legend(plot: Any) -> None:
    """Put the legend in one line above the picture, in the ink of the axes."""
    [box] = plot.legend
    box.update(
        orientation="horizontal", background_fill_alpha=0, border_line_color=None, padding=0,
        label_text_color=INK, label_text_font=FONT, label_text_font_size="12px", glyph_height=14, label_height=14,
    )  # fmt: skip
    plot.add_layout(box, "above")


def clock(*axes: Any) -> None:
    """Label axes of epoch milliseconds with the time of day (UTC), always in the same words."""
    for axis in axes:
        axis.formatter = DatetimeTickFormatter(seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M:%S")


def name_rows(plot: Any, names: Sequence[str]) -> None:
    """Write names beside the rows 0, 1, ... of a picture, the first at the bottom.

    Does nothing while they are the same: a new ticker is a new model, and makes the page lay the picture out anew.
    """
    axis = plot.yaxis[0]
    labels = dict(enumerate(names))
    if axis.major_label_overrides != labels:
        axis.update(ticker=FixedTicker(ticks=list(labels)), major_label_overrides=labels)
        plot.y_range.update(start=-0.6, end=max(len(labels), 1) - 0.4)


def rate(per_second: float) -> str:
    """Return a rate as people say it: 0, 4.3, 61, 12,300."""
    return f"{per_second:,.0f}" if per_second >= 9.5 or per_second == 0 else f"{per_second:.1f}"


def bare(plot: Any) -> Any:
    """Take the axes and the grid away: for pictures whose positions mean nothing."""
    plot.axis.visible = False
    plot.grid.visible = False
    return plot


def ink_on(fill: str) -> str:
    """Return the ink, light or dark, that reads better on a mark of this colour."""
    return max((LIGHT, DARK), key=lambda ink: contrast(ink, fill))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours "#rrggbb", from 1 to 21, as WCAG 2.2 defines it."""
    dark, light = sorted(_luminance(each) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _axes(plot: Any) -> None:
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
        axis.axis_line_color = axis.major_tick_line_color = INK
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = INK
    plot.grid.grid_line_alpha = 0.2
    plot.xgrid.visible = False
