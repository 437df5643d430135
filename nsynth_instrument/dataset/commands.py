"""The commands `dataset build` and `dataset info`; what they need is imported when they run."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click


@click.group()
def dataset() -> None:
    """Build and look at training data in the NSynth format."""


@dataset.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--soundfont", "soundfonts", multiple=True, required=True, type=click.Path(path_type=Path), help="May be repeated.")
@click.option("--rate", type=click.Choice(["16000", "48000"]), default="16000", show_default=True, help="Hz.")
@click.option("--pitches", multiple=True, default=["keys"], show_default=True, help="keys, full, 60, 21-108/2; or per soundfont.")
@click.option("--velocities", multiple=True, default=["25,50,75,100,127"], show_default=True, help="1..127; or per soundfont.")
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
    velocities: tuple[str, ...],
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
    from ..errors import UsageError
    from ..notes import NoteGrid
    from .build import build as run
    from .plan import BuildPlan

    layers = [_numbers(v, "--velocities") for v in velocities]
    count = max(len(pitches), len(layers))
    if {len(pitches), len(layers)} - {1, count}:
        raise UsageError("give --pitches and --velocities once for all, or once for each --soundfont")
    _, valid, test = _split(split)
    plan = BuildPlan(
        soundfonts=soundfonts,
        grids=tuple(NoteGrid.parse(pitches[i % len(pitches)], layers[i % len(layers)]) for i in range(count)),
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
    last = next(steps)
    if last.done:
        click.echo(f"{last.done} of {last.total} instruments are there already", err=True)
    with _bar(last.total, "Instruments", last.done) as advance:
        for last in steps:
            advance(f"{last.name}, {last.notes} notes in all")
    if tfrecord:
        from . import nsynth
        from .tfrecord import write

        for name in ("train", "valid", "test"):
            notes = nsynth.Dataset.open(out / name)
            with _bar(len(notes), f"nsynth-{name}.tfrecord") as advance:
                write(out / f"nsynth-{name}.tfrecord", (n for n in notes if advance("") is None))
    click.echo(f"{out}: {last.done} instruments, {last.notes} notes")


@dataset.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read every sound, not one of each instrument.")
def info(path: Path, verify: bool) -> None:
    """Describe the set PATH: a folder with examples.json, a folder of splits, or a .tfrecord."""
    from ..progress import listing
    from .info import described, listened
    from .nsynth import Dataset

    with listing() as passed:
        data = Dataset.open(path, skip_damaged=True, passed=passed)
    damaged, seconds, heard = list(data.damaged), 0.0, 0
    with _bar(len(data) if verify else len(data.instruments), "Listening") as advance:
        for _, result in listened(data, every=verify):
            if isinstance(result, str):
                damaged.append(result)
            else:
                seconds, heard = seconds + result, heard + 1
            advance("")
    hours = seconds / max(heard, 1) * len(data) / 3600
    click.echo(described(data))
    click.echo(f"\n{'sound':12}{hours:.2f} hours{'' if verify else ', by one note of each instrument'}")
    click.echo(f"{'damaged':12}{len(damaged)}{'' if verify else ' found; --verify reads every sound'}")
    for item in damaged[:20]:
        click.echo(f"  {item}")
    if len(damaged) > 20:
        click.echo(f"  and {len(damaged) - 20} more")


@contextlib.contextmanager
def _bar(total: int, label: str, done: int = 0) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr, or ten lines in all where it is no terminal; yields what advances it by one."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label=label, file=sys.stderr, item_show_func=lambda s: s) as bar:
            bar.update(done)
            yield lambda text: bar.update(1, text)
        return
    count = done

    def advance(text: str) -> None:
        nonlocal count
        count += 1
        if count * 10 // total > (count - 1) * 10 // total:
            click.echo(f"{label}: {count} of {total} {text}".rstrip(), err=True)

    yield advance


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
