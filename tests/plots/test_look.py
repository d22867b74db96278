import re
from pathlib import Path

import pytest

from kernel_lib.plots import kafka_cluster, look, topology

READABLE = 4.5  # WCAG 2.2, success criterion 1.4.3
VIEWS = sorted(Path(look.__file__).parent.glob("*.py"))
# Marks on which words stand, and the ink of these.
OPAQUE = [state for state, alpha in kafka_cluster.ALPHAS.items() if alpha]
LABELLED = [(fill, look.LIGHT) for fill in (*topology.FILLS.values(), topology.HELD_BACK_FILL, topology.BUSY_FILL)]
LABELLED += [(kafka_cluster.FILLS[state], kafka_cluster.INKS[state]) for state in OPAQUE]
LABELLED += [(fill, look.ink_on(fill)) for fill in (*look.PALETTE, look.GOOD, look.BAD, look.WARN, look.QUIET)]


def test_contrast_is_that_of_wcag() -> None:
    assert look.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert look.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_words_read_on_a_light_and_on_a_dark_page() -> None:
    assert min(look.contrast(look.INK, page) for page in (look.LIGHT, look.DARK)) >= READABLE
    assert look.DARK in look.STYLE


@pytest.mark.parametrize(("fill", "ink"), LABELLED)
def test_words_read_on_the_mark_on_which_they_stand(fill: str, ink: str) -> None:
    assert look.contrast(fill, ink) >= READABLE


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_words_are_written_in_an_ink_and_not_in_the_colour_of_a_mark(path: Path) -> None:
    colours = re.findall(r"text_color\W*[=:] *([^,)}\n]+)", path.read_text())
    assert set(colours) <= {
        "INK",
        "axis.major_label_text_color = INK",
        "look.INK",
        '"ink"',
        '"white"',
        "look.ink_on(look.BAD",
    }


def test_rows_that_keep_their_names_are_not_laid_out_anew() -> None:
    plot = look.figure()
    look.name_rows(plot, ["below", "above"])
    ticker = plot.yaxis[0].ticker
    assert ticker.ticks == [0, 1]
    look.name_rows(plot, ["below", "above"])
    assert plot.yaxis[0].ticker is ticker
    look.name_rows(plot, ["below"])
    assert (plot.yaxis[0].major_label_overrides, plot.y_range.end) == ({0: "below"}, 0.6)
