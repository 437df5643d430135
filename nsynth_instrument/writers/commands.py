"""The command `check`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(pack: Path, as_json: bool) -> None:
    """Check the PACK in a folder: files, zones, loops, levels, tuning.

    Exits with 0 if all is well, with 1 if there are faults.
    """
    from .check import check as run
    from .check_report import as_data, table

    steps = run(pack)
    shown = sys.stderr.isatty()
    while True:
        try:
            done, of = next(steps)
        except StopIteration as end:
            report = end.value
            break
        if shown and (done == of or done % 20 == 0):
            click.echo(f"\r  listen {done}/{of}" + ("\n" if done == of else ""), err=True, nl=False)
    click.echo(json.dumps(as_data(report), indent=1) if as_json else table(report))
    if not report.sound:
        raise SystemExit(1)
