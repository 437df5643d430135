"""The commands `dataset build` and `dataset info`; what they need is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def dataset() -> None:
    """Build and look at training data in the NSynth format."""


@dataset.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--soundfont", "soundfonts", multiple=True, required=True, type=click.Path(path_type=Path), help="SF2; may be repeated.")
@click.option("--rate", type=click.Choice(["16000", "48000"]), default="16000", show_default=True, help="Hz.")
@click.option("--pitches", multiple=True, default=["keys"], show_default=True, help="keys, full, 60, 21-108/2; once, or per soundfont.")
@click.option("--velocities", default="25,50,75,100,127", show_default=True, help="1..127, with commas.")
@click.option("--instruments", default="", help="Only these: families, programs (0-7), preset names (*piano*), with commas.")
@click.option("--hold-out", default="", help="Put these into test: as for --instruments.")
@click.option("--split", default="90,5,5", show_default=True, help="Percent of train, valid and test, by GM program.")
@click.option("--drums", is_flag=True, help="Drum kits too (bank 128).")
@click.option("--effects", is_flag=True, help="GM sound effects too (programs 120 to 127).")
@click.option("--seed", default=0, show_default=True, help="Which programs go to which split.")
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--tfrecord", is_flag=True, help="Write OUT/nsynth-SPLIT.tfrecord too.")
def build(
    out: Path,
    soundfonts: tuple[Path, ...],
    rate: str,
    pitches: tuple[str, ...],
    velocities: str,
    instruments: str,
    hold_out: str,
    split: str,
    drums: bool,
    effects: bool,
    seed: int,
    workers: int,
    tfrecord: bool,
) -> None:
    """Render the programs of soundfonts into the folder OUT.

    Notes are held for 3 s and released for 1 s, dry, mono, 16 bits. An interrupted build goes on when the same
    command is given again.
    """
    from ..notes import NoteGrid
    from .build import build as run
    from .plan import BuildPlan

    layers = _numbers(velocities, "--velocities")
    train, valid, test = _split(split)
    plan = BuildPlan(
        soundfonts=soundfonts,
        grids=tuple(NoteGrid.parse(p, layers) for p in pitches),
        rate=int(rate),
        valid=valid,
        test=test,
        hold_out=_items(hold_out),
        only=_items(instruments),
        drums=drums,
        effects=effects,
        seed=seed,
    )
    steps = run(out, plan, workers=workers)
    first = last = next(steps)
    if first.done:
        click.echo(f"{first.done} of {first.total} instruments are there already", err=True)
    with click.progressbar(
        length=first.total, label="Instruments", file=click.get_text_stream("stderr"), item_show_func=lambda s: s
    ) as bar:
        bar.update(first.done)
        for last in steps:
            bar.update(1, f"{last.name}, {last.notes} notes")
    click.echo(f"{out}: {last.done} instruments, {last.notes} notes")


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _numbers(text: str, option: str) -> tuple[int, ...]:
    from ..errors import UsageError

    try:
        return tuple(int(item) for item in _items(text))
    except ValueError as e:
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 25,50,75") from e


def _split(text: str) -> tuple[int, int, int]:
    from ..errors import UsageError

    parts = _numbers(text, "--split")
    if len(parts) != 3 or sum(parts) != 100 or min(parts) < 0:
        raise UsageError(f"--split {text!r} is not three percentages that add up to 100, such as 90,5,5")
    return parts[0], parts[1], parts[2]
