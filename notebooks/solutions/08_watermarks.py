"""Solutions of 08_watermarks, by the id of the cell that each replaces."""

# ruff: noqa
# mypy: ignore-errors

# %% exercise-frozen
out_of_orderness_seconds = 3.5  # the lowest points lie a little more than three seconds below the diagonal
idle_timeout_seconds = 3.0  # longer than a partition's pauses; well within the ten seconds
