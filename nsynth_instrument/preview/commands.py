"""The command `rainbowgram`; what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: nsynth-instrument rainbowgram flute.wav bass.wav both.wav --out rainbow.png")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The picture, a PNG file.")
@click.option("--columns", type=click.IntRange(1, 100), default=4, show_default=True, help="Pictures in a row.")
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=4.0, show_default=True, help="Of each sound, from its start.")
@click.option("--scale", type=click.IntRange(1, 8), default=2, show_default=True, help="Points a side of each point.")
def rainbowgram(*, files: tuple[Path, ...], out: Path, columns: int, seconds: float, scale: int) -> None:
    """Picture sound FILES as in the NSynth paper: level as light, instantaneous frequency as colour.

    Time goes to the right, pitch upwards from C1, 40 rows an octave. Several files lie row by row, in their order. Prints
    the picture's path.
    """
    from ..audio import fit, read
    from ..dsp.rainbow import RATE
    from ..dsp.rainbow import rainbowgram as picture
    from ..picture import beside, larger, write_png

    shown = []
    for i, file in enumerate(files):
        sound, _ = read(file, rate=RATE)
        shown.append(picture(fit(sound, round(seconds * RATE))))
        if len(files) > 1:
            click.echo(f"row {i // columns + 1}, {i % columns + 1}: {file}", err=True)
    write_png(out, larger(beside(shown, columns), scale))
    click.echo(out)
