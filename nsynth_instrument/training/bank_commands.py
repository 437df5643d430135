"""The command `bank`: give a model the instruments that it is shipped with."""

from __future__ import annotations

from pathlib import Path

import click

_PLACES = ("/usr/share/sounds/sf2", "/usr/share/soundfonts")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("model")
@click.option("--soundfont", "soundfonts", multiple=True, type=_FILE, help="SF2; may be repeated.")
@click.option("--table", type=_FILE, help="Which instruments, as TOML.  [default: the shipped]")
@click.option("--step", type=click.IntRange(1, 24), help="Semitones between the notes of an instrument.  [default: the table's]")
@click.option("--runtime", type=click.Choice(["auto", "kernel", "onnx", "torch"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Processor cores to use.  [default: all]")
def bank(
    *, model: str, soundfonts: tuple[Path, ...], table: Path | None, step: int | None, runtime: str, threads: int | None
) -> None:
    """Render instruments from soundfonts and put their codes into MODEL, a model's name or folder.

    Soundfonts not named are looked for in the system's folders. Prints the model's folder.
    """
    from ..bank import InstrumentBank
    from ..bundle import find
    from ..runtimes import open_codec
    from .bank import TABLE, add_to, instruments, read_table

    found = find(model)
    entries = read_table(table or TABLE, step=step)
    named = {p.name: p for p in soundfonts}
    for name in {e.soundfont for e in entries} - named.keys():
        named.update((name, p) for p in (Path(place) / name for place in _PLACES) if p.is_file())
    codec = open_codec(found, runtime, threads=threads)
    done = []
    for instrument in instruments(codec, list(named.values()), entries):
        done.append(instrument)
        click.echo(f"{len(done)} of {len(entries)}: {instrument.name}, {len(instrument.pitches)} notes", err=True)
    click.echo(add_to(found, InstrumentBank.of(done)).folder)
