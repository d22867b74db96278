"""The commands of ./course for an instructor: to prove and to measure, on services of their own, and to grade."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.layout import layout

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def test(words: tuple[str, ...]) -> None:
    """Prove the course: lint, unit, services, notebooks, browser (all of them, or those named).

    Services run on ports of their own. Words after -- go to pytest.
    """
    from infra import install, proof

    install.test_tools()
    sys.exit(proof.run(words))


@click.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter runs, and not of every job.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too."
)
def bench(quick: bool, json_file: Path | None) -> None:
    """Measure ingest, jobs, latencies, indexing and idle load, and the machine with a lesson open, on own services."""
    from infra.bench import run as benchmark

    sys.exit(benchmark.run(quick=quick, json_file=json_file))


@click.command()
@click.argument("notebook", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too."
)
@click.option(
    "--html", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write pages of results and copies here."
)
@click.option("--cell-seconds", type=click.IntRange(1), default=240, show_default=True, help="What a cell may take.")
@click.option("--notebook-seconds", type=click.IntRange(1), default=600, show_default=True, help="What all may take.")
def grade(
    notebook: tuple[Path, ...], json_file: Path | None, folder: Path | None, cell_seconds: int, notebook_seconds: int
) -> None:
    """Run learners' NOTEBOOKs, or folders of them, on the running course, and say what their exercises are worth.

    One after the other, because the cluster's slots are few. Each runs as a user of its own in Kafka and
    Elasticsearch, who is removed with all that the run made. Executed copies are kept in .course/graded. To the rest
    of this machine a notebook is a program that runs as you: read those of strangers first, or grade in a container.
    Exit code 0 when each exercise was judged or not reached, 1 when a file is no lesson or a service was down.
    """
    from infra import gradebook
    from infra.headless import Limits

    limits = Limits(cell_seconds, notebook_seconds)
    sys.exit(gradebook.run(notebook, layout(), limits, json_file=json_file, folder=folder))
