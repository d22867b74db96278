"""Own the command line of the course: each verb is a few lines on top of `infra` and `kernel_lib`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
import rich
import rich.console
import rich.table

from infra import instructor, notebooks, preflight, prepare, stack, steps
from infra import lab as jupyterlab
from infra import logs as service_logs
from infra.credentials import credentials
from infra.layout import HOST, SERVICES, Layout
from infra.layout import layout as layout
from kernel_lib import jobs, pipeline, producer, services, topics
from kernel_lib.errors import ConfigurationError, CourseError
from kernel_lib.services import ServiceStatus
from kernel_lib.waiting import wait_until

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
COLOURS = {"healthy": "green", "starting": "yellow", "stopped": "dim", "paused": "yellow"}

console = rich.console.Console(highlight=False, soft_wrap=True)
complaints = rich.console.Console(highlight=False, soft_wrap=True, stderr=True)


PORT_OFFSET = click.option(
    "--port-offset", type=click.IntRange(0, 50000), help="Add this to every port; kept for the next start."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """A JupyterLab course on stream processing with live Kafka, Flink and Elasticsearch.

    Exit codes: 0 all is well, 1 something failed or is not healthy, 2 wrong usage, 130 interrupted.
    """


@main.command()
@click.option("--no-browser", is_flag=True, help="Do not open a browser; the address is printed either way.")
@click.option("--keep", is_flag=True, help="Leave the services running when JupyterLab ends.")
@click.option(
    "--listen", default=HOST, show_default=True, help="Address at which JupyterLab listens; 0.0.0.0 inside a container."
)
@PORT_OFFSET
def lab(no_browser: bool, keep: bool, listen: str, port_offset: int | None) -> None:
    """Install, start everything, and open JupyterLab on the cockpit. Ctrl-C stops JupyterLab and the services."""
    where = layout(port_offset)
    # A closed terminal or a service manager ends the course in the same order as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    _check(where, preflight.PORTS_OF["lab"])
    try:
        _start(where)
        jupyterlab.run(where, credentials(where.home), open_browser=not no_browser, ready=_say_where, listen=listen)
    except KeyboardInterrupt:
        console.print("\nStopping ...")
    finally:
        if keep:
            console.print("The services go on; ./course down stops them.")
        else:
            _down(where)


def _say_where(address: str) -> None:
    console.print(f"JupyterLab is ready: {address}")
    console.print("Ctrl-C ends it.")


@main.command()
@PORT_OFFSET
def up(port_offset: int | None) -> None:
    """Start all services and wait until each is healthy; harmless when they are."""
    where = layout(port_offset)
    _check(where, preflight.PORTS_OF["up"])
    _start(where)
    console.print("All services are healthy. Next: ./course lab, or ./course status.")


def _check(where: Layout, ports: Collection[str]) -> None:
    """Print what preflight finds, and end with code 1 when the course cannot start."""
    running = layout()
    if stack.supervisor_answers(running) and running.port_offset != where.port_offset:
        raise ConfigurationError(
            f"The course is running with --port-offset {running.port_offset}.", remedy="./course down first"
        )
    findings = preflight.check(where, ports)
    for finding in findings:
        complaints.print(str(finding), style="red" if finding.serious else "yellow", markup=False)
    if any(finding.serious for finding in findings):
        sys.exit(EXIT_FAILED)


def _start(where: Layout) -> None:
    if not stack.supervisor_answers(where):  # what runs must not lose its files
        prepare.prepare(where)
    with steps.several(stack.STARTED) as show:
        stack.start(where, show)
    _tidy_jobs()


def _tidy_jobs() -> None:
    """Say which jobs a crash left, and cancel those whose notebook is gone."""
    for name in jobs.cancel_orphans():
        console.print(f"Cancelled job {name}: the notebook that started it is gone.")
    for name in topics.delete_orphans():
        console.print(f"Deleted topic {name}: the notebook that made it is gone.")
    for job in jobs.running():
        console.print(f"Job {job.name} was found running; it went on from its last checkpoint.")


@main.command()
@click.argument("lesson")
def reset(lesson: str) -> None:
    """Give back a fresh notebook of LESSON (05_first_job); yours is kept beside it."""
    kept = notebooks.reset(lesson)
    console.print(f"{lesson} is fresh again; yours is {kept.name}.")


@main.command()
@click.option("--wipe", is_flag=True, help="Delete all data, progress, logs, passwords and downloads too.")
def down(wipe: bool) -> None:
    """Stop JupyterLab and all services; no process and no port is left."""
    where = layout()
    jupyterlab.stop_running(where)
    _down(where)
    if wipe:
        stack.wipe(where)
    console.print("Stopped." + (" All files of the course are deleted; .venv stays." if wipe else ""))


def _down(where: Layout) -> None:
    with console.status("Stopping the services ..."):
        if stack.supervisor_answers(where):
            _cancel_jobs()
        stack.stop(where)


def _cancel_jobs() -> None:
    # What runs at the stop would be revived by high availability at the next start.
    try:
        jobs.cancel_all()
    except CourseError as error:
        console.print(f"The jobs could not be cancelled; the next start will find them. {error}", markup=False)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of a table.")
def status(as_json: bool) -> None:
    """Show the health of every service; exit code 0 when all that should run are healthy, else 1."""
    found = services.statuses()
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        _print_statuses(found)
    well = all(one.healthy or _waits(one) for one in found)
    sys.exit(0 if well else EXIT_FAILED)


def _waits(one: ServiceStatus) -> bool:
    return one.state == "stopped" and one.reason == services.NOT_STARTED


def _print_statuses(found: list[ServiceStatus]) -> None:
    table = rich.table.Table("service", "state", "address", "for", box=None)
    for one in found:
        colour = COLOURS.get(one.state, "red")
        table.add_row(one.name, f"[{colour}]{one.state}[/]", one.address, str(timedelta(seconds=one.uptime_seconds)))
    console.print(table)
    for one in found:
        if not one.healthy:
            console.print(f"{one.name}: {one.reason}\n  Try: {one.remedy}", markup=False)


@main.command()
@PORT_OFFSET
def check(port_offset: int | None) -> None:
    """Look for what would keep the course from starting: disk, memory, ports, paths; exit code 1 if there is."""
    _check(layout(port_offset), preflight.PORTS_OF["lab"])
    console.print("This machine is ready for ./course up.")


@main.command(name="topics")
def create_topics() -> None:
    """Create the topics of the course that do not exist, and show all of them."""
    for creation in topics.create_all():
        if creation.created or creation.note:
            console.print(f"{creation.name}: {'created' if creation.created else creation.note}", markup=False)
    table = rich.table.Table("topic", "partitions", "replicas", "in sync", "records", box=None)
    for name in topics.list_names():
        found = topics.describe(name)
        replicas, in_sync = (min(len(ids) for ids in sets) for sets in _replica_sets(found))
        table.add_row(name, str(len(found.partitions)), str(replicas), str(in_sync), f"{found.size:,}")
    console.print(table)


def _replica_sets(found: topics.TopicDescription) -> tuple[list[Any], list[Any]]:
    return [p.replicas for p in found.partitions], [p.in_sync for p in found.partitions]


@main.command()
@click.argument("name")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=100.0, help="Events per second.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many events; without it, at Ctrl-C.")
@click.option("--seed", type=int, default=1, help="The same seed gives the same events.")
def produce(name: str, rate: float, count: int | None, seed: int) -> None:
    """Send the events of stream NAME (user-events, ...) in the foreground, with a live line of figures."""
    with producer.start(name, events_per_second=rate, count=count, seed=seed) as running:
        with console.status("") as live:

            def ended() -> bool:
                live.update(running.stats.text)
                return not running.alive

            try:
                wait_until(ended, float("inf"), "the producer to end", interval_seconds=0.25)
            except KeyboardInterrupt:
                live.update("Waiting for the last acknowledgements ...")
        stats = running.stop()
    console.print(stats.text)
    sys.exit(0 if stats.acknowledged == stats.sent else EXIT_FAILED)


@main.command(name="pipeline")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=100.0, help="Events per second in all.")
@click.option("--seed", type=int, default=1, help="The same seed gives the same events.")
@click.option("--stop", is_flag=True, help="Only drain the jobs of a pipeline whose notebook or terminal is gone.")
def run_pipeline(rate: float, seed: int, stop: bool) -> None:
    """Run all producers and jobs of the pipeline in the foreground; Ctrl-C stops and drains them."""
    if not stop:
        _run_pipeline(rate, seed)
    console.print(pipeline.stop())


def _run_pipeline(rate: float, seed: int) -> None:
    console.print(pipeline.start(events_per_second=rate, seed=seed))
    try:
        wait_until(lambda: not producer.running(pipeline.NAME), float("inf"), "the producers to end")
    except KeyboardInterrupt:
        console.print("Draining the jobs ...")


@main.command()
@click.argument("service", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("-n", "--lines", default=100, show_default=True, help="How many of the newest lines.")
def logs(service: tuple[str, ...], follow: bool, lines: int) -> None:
    """Show the logs of all services, or of those named, in the order of time."""
    folder = layout().logs
    width = max(map(len, SERVICES))
    for line in service_logs.lines(folder, service, last=lines):
        print(f"{line.service:{width}} | {line.text}")
    if follow:
        for line in service_logs.follow(folder, service):
            print(f"{line.service:{width}} | {line.text}", flush=True)


@main.command(context_settings=instructor.PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def flink(words: tuple[str, ...]) -> None:
    """Call Flink's own command line, as in: ./course flink run -d -py flink_jobs/count_events.py"""
    where = layout()
    program = where.flink_home / "bin" / "flink"
    if not program.exists():
        raise ConfigurationError(f"Flink is not installed in {where.flink_home}.", remedy="./course up")
    environment = os.environ | {
        "COURSE_HOME": str(where.home),
        "JAVA_HOME": str(where.java_home),
        "FLINK_LOG_DIR": str(where.logs),
    }
    os.execve(program, [str(program), *words], environment)


for command in (instructor.test, instructor.bench, instructor.grade):
    main.add_command(command)


def run() -> None:
    """Run the command line; errors of the course are printed as sentences."""
    try:
        sys.exit(main(standalone_mode=False, prog_name="./course"))
    except click.exceptions.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CourseError as error:
        complaints.print(str(error), style="red", markup=False)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
