"""Notes of a codec as a pack has them: where the decoder is told no pitch, moved to their keys from the nearest known ones."""

from __future__ import annotations

from collections.abc import Sequence

from .. import repitch
from ..audio import Audio, resample
from ..bank import Instrument, InstrumentBank
from ..codecs import Codec, Mixed
from ..codes import Morph, frames_for
from ..mixing import Mixer, alone
from ..notes import Note
from .recordings import SECONDS


def mixes(codec: Codec, bank: InstrumentBank, jobs: Sequence[tuple[Morph, Note]]) -> list[Audio]:
    """Audio (samples,) of each morph of instruments of `bank` at its note; a moved one's length differs a little."""
    known = bank if codec.pitched else repitch.as_recorded(bank)
    moved = [_shift(codec, [known[n] for n in morph.names], note) for morph, note in jobs]
    mixer = Mixer(known, codec, codec.frames or frames_for(SECONDS))
    mixed = mixer.mix([(morph, _below(note, by)) for (morph, note), by in zip(jobs, moved, strict=True)])
    return _decoded(codec, mixed, [note for _, note in jobs], moved)


def from_one(codec: Codec, sounds: Sequence[Instrument], notes: Sequence[Note]) -> list[Audio]:
    """Audio (samples,) of a note of each instrument, as loud as it comes; a moved one's length differs a little."""
    moved = [_shift(codec, [i], n) for i, n in zip(sounds, notes, strict=True)]
    frames = codec.frames or frames_for(SECONDS)
    mixed = alone(codec, [(i, _below(n, by)) for i, n, by in zip(sounds, notes, moved, strict=True)], frames)
    return _decoded(codec, mixed, notes, moved)


def _shift(codec: Codec, sounds: Sequence[Instrument], note: Note) -> int:
    return 0 if codec.pitched else repitch.shift(sounds, note.pitch)


def _below(note: Note, semitones: int) -> Note:
    return Note(note.pitch - semitones, note.velocity)


def _decoded(codec: Codec, mixed: Sequence[Mixed], notes: Sequence[Note], moved: Sequence[int]) -> list[Audio]:
    made = codec.decode(
        [repitch.slowed(m.codes, by) for m, by in zip(mixed, moved, strict=True)], notes,
        detail=[m.detail for m in mixed], level=[m.level for m in mixed],
    )  # fmt: skip
    return [resample(a, codec.rate * repitch.factor(by), codec.rate) for a, by in zip(made, moved, strict=True)]
