"""The commands `train` and `export`; what they need is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
MODELS = Path("exports/models")
"""Where models go when no folder is named, below the folder one is in; `render --model` finds them there."""


@click.command(epilog="Example: nsynth-instrument train wavenet-guided --data dataset --run runs/wavenet --minutes 60")
@click.argument("plan")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="An NSynth set: json and wav, or TFRecords.")
@click.option("--run", type=_FOLDER, required=True, help="The run's folder; one that holds a run goes on.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="How long.  [default: until interrupted]")
@click.option("--finish", is_flag=True, help="Let the learning rate fall to 0 over these minutes; writes the best only.")
@click.option("--init", type=click.Path(path_type=Path, dir_okay=False), help="First weights, a safetensors file.")
@click.option("--cache", type=_FOLDER, help="Where prepared data is kept.  [default: DATA-features or DATA-recordings]")
@click.option("--threads", type=click.IntRange(1, 256), help="Processor cores to use.  [default: all]")
@click.option("--skip-damaged", is_flag=True, help="Leave out notes of DATA that cannot be read.")
def train(
    *,
    plan: str,
    data: Path,
    run: Path,
    minutes: float | None,
    finish: bool,
    init: Path | None,
    cache: Path | None,
    threads: int | None,
    skip_damaged: bool,
) -> None:
    """Train by PLAN: classifier, harmonic, spectral-small, transposition, wavenet-guided, wavenet-h512, or a TOML file.

    Checkpoints are written every few minutes; the same command goes on from the last. Prints the run's folder.
    """
    from ..errors import MissingExtra, UsageError
    from ..progress import listing

    try:
        import accelerate  # noqa: F401
        import torch
    except ImportError as e:
        raise MissingExtra("training", "train") from e
    from .loop import Run
    from .plan import load, prepare, remember

    if finish and minutes is None:
        raise UsageError("--finish needs --minutes: the time over which the rate falls to 0")
    chosen = load(plan)
    if threads:
        torch.set_num_threads(threads)
    folder = cache or data.with_name(f"{data.name}-{chosen.hears}")

    def told(name: str, notes: int) -> None:
        click.echo(f"{name}: {notes} notes", err=True)

    def tell(line: str) -> None:
        click.echo(line, err=True)

    with listing() as passed:
        task, schedule, about = prepare(chosen, data, folder, told, skip_damaged=skip_damaged, tell=tell, passed=passed)
    remember(run, chosen, about)
    going = Run(run, task, schedule, init=init)
    for p in going.train(minutes or float("inf"), finish=finish):
        figures = ", ".join(f"{k} {v:.4g}" for k, v in p.figures.items())
        click.echo(f"step {p.step}, {p.seconds / 60:.0f} min, {p.kind}: {figures}", err=True)
    click.echo(run)


@click.command()
@click.argument("run", type=_FOLDER)
@click.option("--out", type=_FOLDER, help="The model's folder.  [default: exports/models/KIND]")
@click.option("--licence", default="unstated", show_default=True, help="Of the model, as its sources allow.")
@click.option("--source", "sources", multiple=True, help="What it was trained on; may be repeated.  [default: the dataset's]")
def export(*, run: Path, out: Path | None, licence: str, sources: tuple[str, ...]) -> None:
    """Turn RUN's best checkpoint into a model: weights and graphs. Prints the model's folder.

    `bank` then gives it its instruments.
    """
    from ..errors import MissingExtra

    try:
        import torch  # noqa: F401
    except ImportError as e:
        raise MissingExtra("export", "train") from e
    from .export import export as write
    from .plan import recall

    click.echo(write(run, out or MODELS / recall(run)[0].kind, licence=licence, sources=sources).folder)
