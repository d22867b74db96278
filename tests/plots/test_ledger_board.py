import re
from dataclasses import replace

from kernel_lib.ledger import Figures
from kernel_lib.plots import ledger_board

WELL = Figures("passed", 100, 100, 0, 0, 0, 100, 0, 0, 0, 0)


def test_history_has_one_row_a_reading() -> None:
    columns = ledger_board.history_columns([(1.0, WELL), (1.5, replace(WELL, missing=3, duplicate=2))])
    assert columns["at"].tolist() == [1000, 1500]
    assert (columns["not_there"].tolist(), columns["duplicate"].tolist()) == ([0, 3], [0, 2])


def test_tiles_say_by_a_sign_what_is_well() -> None:
    assert ledger_board.tiles(WELL).count("✓") == 3
    assert "✗" not in ledger_board.tiles(WELL)


def words_of(html: str) -> str:
    return re.sub("<[^>]+>", "", html)


def test_what_is_missing_while_the_producer_runs_may_be_on_its_way() -> None:
    running = replace(WELL, missing=5, running=True)
    assert "5 …" in words_of(ledger_board.tiles(running))
    assert "on the way or missing" in ledger_board.tiles(running)
    assert "5 ✗" in words_of(ledger_board.tiles(replace(running, running=False)))


def test_what_the_brokers_have_not_acknowledged_yet_is_on_its_way_too() -> None:
    running = replace(WELL, received=90, missing=6, in_flight=4, running=True)
    assert "10 …" in words_of(ledger_board.tiles(running))
    assert "90 received, 10 on the way or missing" in running.text


def test_before_the_first_figures_there_are_no_tiles() -> None:
    assert ledger_board.tiles(None) == ""
