"""Solutions of 00_cockpit, by the id of the cell that each replaces."""

# ruff: noqa
# mypy: ignore-errors

# %% exercise-trouble
services.stop("flink-taskmanager-2")
service, state = "flink-taskmanager-2", "stopped"
