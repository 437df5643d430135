"""The bank that is shipped with a model: notes of a soundfont, made equally loud, as the model's codes.

Which instruments, and on which keys, stands in `bank.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import bundle
from ..audio import Audio, resample
from ..bank import Instrument, InstrumentBank
from ..bundle import Bundle
from ..codecs import Codec
from ..dataset.example import FAMILIES, SOURCES
from ..dataset.gm import family_and_source
from ..dataset.soundfont import RATE, Player
from ..dsp.loudness import NOMINAL, by_velocity, loudest
from ..errors import DataError, UsageError
from ..instruments import BANK
from ..notes import Note, NoteGrid

TABLE = Path(__file__).with_name("bank.toml")
_SILENT = -60.0
"""LUFS below what is due at which a note is left out: the soundfont has nothing there."""
_FAINTEST = -70.0
"""LUFS at velocity 100 below which no soundfont plays a note."""


@dataclass(frozen=True)
class Entry:
    """One instrument to be rendered.

    soundfont: file name; bank 0..128, program 0..127; grid: which notes; transpose: semitones from a note of the grid to the
    key that sounds it, for a preset that sounds lower than its keys.
    """

    name: str
    title: str
    soundfont: str
    bank: int
    program: int
    family: str
    source: str
    licence: str
    grid: NoteGrid
    transpose: int = 0

    def key(self, note: Note) -> Note:
        """What is played for a note of the grid."""
        return Note(note.pitch + self.transpose, note.velocity)


def read_table(path: Path = TABLE, *, step: int | None = None) -> tuple[Entry, ...]:
    """The table of instruments in a TOML file, or of every `step` semitones. Raises DataError with the entry that is wrong."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        every = {} if step is None else {"step": step}
        return tuple(_entry(name, {**raw, **row, **every}) for name, row in raw["instruments"].items())
    except (OSError, KeyError, TypeError, ValueError, UsageError, RecursionError) as e:
        raise DataError(f"{path} is not a table of instruments ({e}); compare it with the one that is shipped") from e


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    low, high = row["keys"]
    bank, program = int(row.get("bank", 0)), int(row["program"])
    family, source = family_and_source(bank, program)
    family, source = str(row.get("family", family)), str(row.get("source", source))
    if family not in FAMILIES or source not in SOURCES:
        raise ValueError(f"{name}: no family {family} or source {source}")
    grid = NoteGrid(tuple(range(low, high + 1, row["step"])), tuple(row["velocities"]))
    transpose = int(row.get("transpose", 0))
    return Entry(name, row["title"], row["soundfont"], bank, program, family, source, row["licence"], grid, transpose)


def instruments(codec: Codec, soundfonts: Sequence[Path], table: Sequence[Entry]) -> Iterator[Instrument]:
    """The table's instruments one by one as they are done.

    Raises DataError when a soundfont is not among those given, or lacks a preset, or is silent there; MissingExtra
    without FluidSynth.
    """
    paths = {p.name: p for p in soundfonts}
    for entry in table:
        if entry.soundfont not in paths:
            raise DataError(f"{entry.name} comes from {entry.soundfont}; give its path with --soundfont")
    for file in dict.fromkeys(e.soundfont for e in table):
        with Player(paths[file]) as player:
            for entry in table:
                if entry.soundfont == file:
                    notes, sounds = render(player, entry)
                    yield encode(codec, entry, notes, sounds)


def render(player: Player, entry: Entry) -> tuple[list[Note], list[Audio]]:
    """The entry's notes that sound, with their audio at 48 kHz, one gain for all; see NOMINAL.

    Velocities keep their dynamics. Peaks may pass full scale: codes have none, and a pack gets its own gain.
    """
    player.select(entry.bank, entry.program)
    pitches = entry.grid.pitches
    quarter = len(pitches) // 4
    middle = pitches[quarter : len(pitches) - quarter]
    gain = NOMINAL - float(np.median([loudest(player.play(entry.key(Note(p, 100)))) for p in middle]))
    sounds = [(n, player.play(entry.key(n))) for n in entry.grid]
    least = max(NOMINAL + _SILENT - gain, _FAINTEST)
    kept = [(n, a) for n, a in sounds if loudest(a) > least + by_velocity(n.velocity)]
    if not kept:
        raise DataError(f"{entry.soundfont} is silent at bank {entry.bank}, program {entry.program}; correct {entry.name}")
    factor = np.float32(10 ** (gain / 20))
    return [n for n, _ in kept], [a * factor for _, a in kept]


def encode(codec: Codec, entry: Entry, notes: Sequence[Note], sounds: Sequence[Audio]) -> Instrument:
    """Audio at 48 kHz as an instrument of the codec's codes."""
    there = [resample(a, RATE, codec.rate) for a in sounds]
    codes = codec.encode(there, notes)
    detail = codec.detail(there, notes, codes)
    pitches, velocities = (np.array(v, np.int16) for v in zip(*((n.pitch, n.velocity) for n in notes), strict=True))
    return Instrument(
        entry.name, entry.family, entry.source, entry.title, entry.licence, pitches, velocities, np.stack(codes), detail
    )


def add_to(model: Bundle, bank: InstrumentBank) -> Bundle:
    """The same model with `bank` as its bank; its folder is replaced whole."""
    contents = {f: model.path(f).read_bytes() for f in model.files if f != BANK}
    sources = bundle.distinct([*model.sources, *sorted({i.licence for i in bank})])
    return bundle.write(
        model.folder, {**contents, BANK: bank.to_bytes()}, name=model.name, kind=model.kind, rate=model.rate, hop=model.hop,
        dims=model.dims, licence=model.licence, sources=sources, network=model.network, training=model.training,
    )  # fmt: skip
