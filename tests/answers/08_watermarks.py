"""Answers to the exercise of 08_watermarks, each with its verdict and a part of the words that it gets."""

# ruff: noqa
# mypy: ignore-errors

# %% exercise-frozen not yet: and nothing tells the job not to wait for it
out_of_orderness_seconds = 4.0
idle_timeout_seconds = None


# %% exercise-frozen not yet: events came after their window had closed, and were dropped
out_of_orderness_seconds = 0.5
idle_timeout_seconds = 3


# %% exercise-frozen not yet: the job waits 20 s for events that might be late
out_of_orderness_seconds = 20
idle_timeout_seconds = 3


# %% exercise-frozen not yet: idle_timeout_seconds = 0 is no time-out
out_of_orderness_seconds = 4.0
idle_timeout_seconds = 0


# %% exercise-frozen right: the windows went on closing while partition
# The bound is measured: the lowest point of the picture, and a little more.
out_of_orderness_seconds = max(*picture.source.data["delay"], *picture.late.data["delay"]) + 0.5
idle_timeout_seconds = 1


# %% exercise-frozen right: the windows went on closing while partition
# As patient as the ten seconds allow.
limit, slack = 10, 4
out_of_orderness_seconds = idle_timeout_seconds = limit - slack
