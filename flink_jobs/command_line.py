"""Own how a job of this package is run by Flink's own command line, `flink run -py`.

>>> options = command_line.parser(__doc__, name="relay")
>>> options.add_argument("--sink", default="processed-events")
>>> command_line.run(build, options)

Each option goes to the job's `build` under its name.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment

from flink_jobs.connectors import STARTUP_MODES, Kafka, configuration


def parser(description: str | None, *, name: str, start: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the options that jobs share: the job's name, and where it starts."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--name", default=name, help="the job's name; it is also that of its consumer group")
    if start:
        found.add_argument("--start", choices=STARTUP_MODES, default="committed", help="where the source starts")
    return found


def run(build: Callable[..., None], options: argparse.ArgumentParser, *, python_mode: str = "thread") -> None:
    """Run the job that `build` makes, with the options from the command line."""
    arguments = vars(options.parse_args())
    settled = Configuration.from_dict(configuration(python_mode=python_mode))  # comes before -D of `flink run`
    env = StreamExecutionEnvironment.get_execution_environment(settled)
    kafka = Kafka.from_environment(os.environ)
    build(env, kafka, **arguments)
    env.execute(kafka.named(arguments["name"]))
