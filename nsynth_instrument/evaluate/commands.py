"""The command `evaluate`; what it needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..codecs import Codec
    from ..dataset.example import Example
    from .report import Table

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(epilog="Example: nsynth-instrument evaluate harmonic --data dataset --voice")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A dataset in the NSynth format.")
@click.option("--voice", is_flag=True, help="The voice's bars: distances, tuning, levels, movement.")
@click.option("--interpolate", is_flag=True, help="What lies between pairs of the model's instruments.")
@click.option("--pairs", "count", type=click.IntRange(1, 2000), default=20, show_default=True, help="Drawn with --interpolate.")
@click.option("--notes", type=click.IntRange(2, 50000), help="Drawn for a figure.  [default: 80; 40 with --voice]")
@click.option("--split", metavar="NAME", help="Of the table's notes.  [default: all but train]")
@click.option("--classifier", type=_FOLDER, help="Another judge than the shipped one.")
@click.option("--skip-damaged", is_flag=True, help="Leave out notes of the table that cannot be read.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which are drawn.")
@click.option("--out", type=_FOLDER, help="Also write the tables there: CSV, Markdown, PNG.")
@click.option("--runtime", type=click.Choice(["auto", "kernel", "onnx", "torch"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Processor cores to use.  [default: all]")
def evaluate(
    *,
    models: tuple[str, ...],
    data: Path,
    voice: bool,
    interpolate: bool,
    count: int,
    notes: int | None,
    split: str | None,
    classifier: Path | None,
    skip_damaged: bool,
    seed: int,
    out: Path | None,
    runtime: str,
    device: str,
    threads: int | None,
) -> None:
    """Judge MODELs, names of `list` or folders, by notes of a dataset that they were not trained on.

    Prints the paper's table: how often a classifier of pitch and qualities, and two pitch detectors beside it, hear in a
    reconstruction what was in the note. The same seed draws the same notes.
    """
    from ..bundle import find
    from ..dataset.nsynth import Dataset
    from ..errors import UsageError
    from ..progress import listing
    from ..runtimes import open_codec
    from .recordings import draw, held_out, readable
    from .report import bars_table, write

    found = [find(m) for m in models]
    with listing() as passed:
        examples = list(Dataset.open(data, skip_damaged=skip_damaged, passed=passed))

    def tell(line: str) -> None:
        click.echo(line, err=True)

    def show(table: Table, name: str) -> None:
        click.echo(table.text())
        for path in write(table, out, name) if out else ():
            tell(f"wrote {path}")

    codecs = [open_codec(m, runtime, threads=threads, device=device) for m in found]
    for codec in codecs:
        if (voice or interpolate) and not codec.pitched:
            tell(f"{codec.name} is told no pitch: at keys that it does not know it is the nearest known one, moved there")
    if voice:
        from .bars import bars

        for codec in codecs:
            tell(f"{codec.name} on {codec.runtime}, {notes or 40} notes a figure, seed {seed}")
            figures = list(bars(codec, examples, notes=notes or 40, seed=seed, tell=tell))
            show(bars_table(codec.name, figures), f"voice-{codec.name}")
    if interpolate:
        for model, codec in zip(found, codecs, strict=True):
            show(_interpolation(model, codec, count, seed, classifier, tell), f"interpolation-{codec.name}")
    if not voice and not interpolate:

        def wanted(e: Example) -> bool:
            return e.split == split if split else held_out(e)

        some = draw(examples, notes or 80, seed, also=wanted, usable=lambda e: not skip_damaged or readable(e, tell))
        if not some:
            where = f"in a split {split!r}" if split else "outside its train split"
            raise UsageError(f"the set has no notes {where}; name another --split")
        show(_paper(codecs, some, data.absolute().name + (f" {split}" if split else ", held out"), classifier, tell), "table")


def _interpolation(
    model: Bundle, codec: Codec, count: int, seed: int, classifier: Path | None, tell: Callable[[str], None]
) -> Table:
    """Pairs over the model's bank. Raises UsageError when it has none."""
    from ..errors import UsageError
    from ..instruments import read_bank
    from .interpolation import pairs, summary, ways
    from .judges import CLASSIFIER, ClassifierJudge
    from .report import interpolation_table

    bank = read_bank(model)
    chosen = pairs(list(bank), count, seed)
    if not chosen:
        raise UsageError(
            f"model {codec.name} knows no two instruments with an octave in common to go between; give it some with: "
            f"nsynth-instrument bank {codec.name}"
        )
    made = list(ways(codec, bank, chosen, ClassifierJudge(classifier or CLASSIFIER), tell))
    return interpolation_table(codec.name, summary(made), len(made))


def _paper(
    codecs: Sequence[Codec],
    drawn: Sequence[Example],
    name: str,
    classifier: Path | None,
    tell: Callable[[str], None],
) -> Table:
    """The paper's table over the notes that were drawn of the set or split `name`."""
    from .judges import CLASSIFIER, ClassifierJudge, pitch_judges
    from .report import paper_table
    from .table import rows

    judge = ClassifierJudge(classifier or CLASSIFIER)
    detectors, missing = pitch_judges()
    for line in missing:
        tell(line)
    found = list(rows(codecs, drawn, judge, detectors, tell))
    lines = [
        "pitch and quality %: by a classifier trained on other instruments; published figures are the paper's, on other sounds.",
        f"A quality counts one by one; always saying the commonest answer gives {common([e.qualities for e in drawn]):.1f} %.",
        *(f"{d.name} hears MIDI {d.low:.0f} to {d.high:.0f}; its share is of the notes in that range." for d in detectors),
    ]
    if fonts := sorted({str(e.extra["soundfont"]) for e in drawn if "soundfont" in e.extra}):
        lines.append(f"The set was made by dataset build, of {' and '.join(fonts)}.")
    return paper_table(found, name, [d.name for d in detectors], lines)


def common(qualities: Sequence[Sequence[int]]) -> float:
    """% right of who always says of each quality what most notes have."""
    shares = [sum(column) / len(qualities) for column in zip(*qualities, strict=True)]
    return float(100 * sum(max(s, 1 - s) for s in shares) / len(shares))
