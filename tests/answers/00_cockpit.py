"""Answers to the exercise of 00_cockpit, each with its verdict and a part of the words that it gets."""

# ruff: noqa
# mypy: ignore-errors

# %% exercise-trouble not yet: Every service that should run does, so there is no trouble to name; flink-taskmanager-3 and
service, state = "kafka-2", "stopped"

# %% exercise-trouble not yet: 'flink-taskmanager-1' is not the one in trouble
services.stop("flink-taskmanager-2")
service, state = "flink-taskmanager-1", "stopped"

# %% exercise-trouble not yet: 'flink-taskmanager-3' is not the one in trouble
# It waits for a later lesson.
services.stop("flink-taskmanager-2")
service, state = "flink-taskmanager-3", "stopped"

# %% exercise-trouble not yet: flink-taskmanager-2 is not 'healthy'
services.stop("flink-taskmanager-2")
service, state = "flink-taskmanager-2", "healthy"

# %% exercise-trouble right: kafka-3 is stopped: was stopped or killed
services.kill("kafka-3")
service, state = "kafka-3", "stopped"

# %% exercise-trouble right: is stopped: was stopped or killed
# Read from the services themselves.
services.stop("kafka-3")
service, state = next((each.name, each.state) for each in services.statuses() if each.in_trouble)
