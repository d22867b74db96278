from kernel_lib.plots import look


def test_rows_that_keep_their_names_are_not_laid_out_anew() -> None:
    plot = look.figure()
    look.name_rows(plot, ["below", "above"])
    ticker = plot.yaxis[0].ticker
    assert ticker.ticks == [0, 1]
    look.name_rows(plot, ["below", "above"])
    assert plot.yaxis[0].ticker is ticker
    look.name_rows(plot, ["below"])
    assert (plot.yaxis[0].major_label_overrides, plot.y_range.end) == ({0: "below"}, 0.6)
