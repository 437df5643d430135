"""The command `evaluate`; what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: nsynth-instrument evaluate harmonic --data dataset --voice")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A dataset in the NSynth format.")
@click.option("--voice", is_flag=True, help="The voice's bars: distances, tuning, levels, movement.")
@click.option("--notes", type=click.IntRange(2, 5000), default=40, show_default=True, help="How many are drawn for a figure.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which are drawn.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Also write the tables there, as CSV and Markdown.")
@click.option("--runtime", type=click.Choice(["auto", "kernel", "onnx", "torch"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Processor cores to use.  [default: all]")
def evaluate(
    *,
    models: tuple[str, ...],
    data: Path,
    voice: bool,
    notes: int,
    seed: int,
    out: Path | None,
    runtime: str,
    device: str,
    threads: int | None,
) -> None:
    """Judge MODELs, names of `list` or folders, by notes of a dataset that they were not trained on."""
    from ..bundle import find
    from ..dataset.nsynth import Dataset
    from ..runtimes import open_codec
    from .bars import bars
    from .report import bars_table, write

    examples = list(Dataset.open(data))

    def tell(line: str) -> None:
        click.echo(line, err=True)

    for name in models:
        codec = open_codec(find(name), runtime, threads=threads, device=device)
        tell(f"{codec.name} on {codec.runtime}, {notes} notes a figure, seed {seed}")
        table = bars_table(codec.name, list(bars(codec, examples, notes=notes, seed=seed, tell=tell)))
        click.echo(table.text())
        if out:
            tell(f"wrote {write(table, out, f'voice-{codec.name}')}")
