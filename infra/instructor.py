"""The commands of ./course with which an instructor proves and measures; each starts services of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def test(words: tuple[str, ...]) -> None:
    """Prove the course: lint, unit, services, notebooks, browser (all of them, or those named).

    Services run on ports of their own. Words after -- go to pytest.
    """
    from infra import proof

    sys.exit(proof.run(words))


@click.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter runs, and not of every job.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too."
)
def bench(quick: bool, json_file: Path | None) -> None:
    """Measure ingest, jobs, latencies, indexing, memory and idle load, on services of their own."""
    from infra.bench import run as benchmark

    sys.exit(benchmark.run(quick=quick, json_file=json_file))
