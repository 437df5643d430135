"""The commands `capture` and `remove`; what they need is imported when they run."""

from __future__ import annotations

import click


@click.command(epilog="Example: nsynth-instrument capture my_voice recordings/; nsynth-instrument render --a my_voice --b flute")
@click.argument("name")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--key", "told", metavar="KEY", help="Of a single recording: C4, g#3 or 60.  [default: by map, name or ear]")
@click.option("--middle-c", type=click.Choice(["C3", "C4", "C5"]), help="Key 60 in the files' names.  [default: by ear, else C4]")
@click.option("--title", help="For people.  [default: after the files]")
@click.option("--family", help="NSynth's word, such as string or vocal.  [default: by the names]")
@click.option("--licence", help="Of the recordings; it goes into every pack made of them.")
@click.option("--force", is_flag=True, help="Replace the captured instrument of that name.")
def capture(
    *,
    name: str,
    sources: tuple[str, ...],
    told: str | None,
    middle_c: str | None,
    title: str | None,
    family: str | None,
    licence: str | None,
    force: bool,
) -> None:
    """Make an instrument NAME of your own recordings; one note is enough.

    FILE is a WAV, AIFF, FLAC, OGG or MP3 of one note, an SFZ, or a preset of a soundfont as file.sf2#BANK:PROGRAM; FOLDER
    holds such sounds, or notes in the NSynth format (a .tfrecord too), of which set#INSTRUMENT names one instrument.
    Prints the folder of the instrument, and on stderr a line a note.
    """
    from ..bundle import DEFAULT, find
    from ..errors import NsynthError, UsageError
    from ..instruments import read_bank
    from ..progress import listing
    from . import capture as run
    from .names import key
    from .store import check_name

    told_key = key(told) if told is not None else None
    if told is not None and (told_key is None or len(sources) != 1):
        raise UsageError(f"--key {told} is not a key of one recording; write C4, g#3 or 60, and capture one file")
    low = check_name(name)
    try:
        shipped = set(read_bank(find(DEFAULT)).instruments)
    except NsynthError:
        shipped = set()  # without a model there are no names to clash with
    if low in shipped:
        raise UsageError(f"{low} is an instrument that came with the program; choose another name")
    octave = int(middle_c[1:]) if middle_c else None
    with listing() as passed:
        kept, words = run(
            low, sources, title=title or "", family=family or "", licence=licence or "", key=told_key, octave=octave,
            replace=force, passed=passed,
        )  # fmt: skip
    for line in words:
        click.echo(line, err=True)
    click.echo(kept.folder)


@click.command()
@click.argument("name")
def remove(*, name: str) -> None:
    """Forget the captured instrument NAME: its notes and its codes. Prints the folder that is gone."""
    from .store import remove as run

    click.echo(run(name.strip().lower()))
