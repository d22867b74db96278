"""Solutions of 14_exactly_once, by the id of the cell that each replaces."""

# ruff: noqa
# mypy: ignore-errors

# %% exercise-exact
guarantee = "exactly-once"  # the sink writes in transactions
isolation_level = "read_committed"  # the reader sees only what was committed
checkpoint_seconds = 1  # and sees it within a second
