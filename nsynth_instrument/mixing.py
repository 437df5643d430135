"""Between instruments: the codes of a note that is a little of each, in one time, and as loud as between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .bank import Instrument, InstrumentBank
from .codecs import Codec, Kept, Mixed
from .codes import FRAME_RATE, Morph
from .dsp.align import align
from .dsp.levels import loudest
from .notes import Note
from .trajectories import FINE, RELEASE, arc, line, read_at, stretch

Floats = npt.NDArray[np.float32]

LEAST = 0.02
"""A share of details that nobody hears."""
STEP = 4
"""Semitones between the keys beyond the known ones at which an instrument's level is asked for."""
LAYERS = (1, 25, 75, 127)
"""Velocities at which it is asked for."""


class Mixer:
    """Notes of morphs of the instruments of a bank, `frames` code frames each.

    Where the codec says levels, a note between known ones is as loud as between them (half of one code and half of another
    is softer: an organ's keys were 3 to 5 dB apart), and onsets, falls and releases of different sounds are brought together
    (`dsp.align`); else sounds are mixed as time goes. spherical: along arcs.
    """

    def __init__(self, bank: InstrumentBank, codec: Codec, frames: int, *, spherical: bool = False) -> None:
        self._bank, self._codec, self._frames, self._spherical = bank, codec, frames, spherical
        self._held = max(1.0, frames - RELEASE * FRAME_RATE)
        self._known: dict[tuple[str, Note], Floats | None] = {}

    def mix(self, jobs: Sequence[tuple[Morph, Note]]) -> list[Mixed]:
        """What each note is made of; the same whatever others are asked for. Raises UnknownName."""
        progress = (np.arange(FINE * self._frames) - 0.5 * (FINE - 1)) / (FINE * self._held)
        found: dict[Morph, tuple[list[Instrument], Floats]] = {}
        for morph in dict.fromkeys(m for m, _ in jobs):
            weights = morph.at(progress)
            heard = weights.max(axis=1) > 0
            found[morph] = [self._bank[n] for n, yes in zip(morph.names, heard, strict=True) if yes], weights[heard]
        asked: dict[str, list[Note]] = {}
        for morph, note in jobs:
            for instrument in found[morph][0]:
                if len(found[morph][0]) > 1 or not _known(instrument, note):
                    asked.setdefault(instrument.name, []).append(note)
        for name, notes in asked.items():
            self._learn(self._bank[name], notes)
        every = dict.fromkeys((i.name, note) for morph, note in jobs for i in found[morph][0])
        them = dict(zip(every, alone(self._codec, [(self._bank[i], note) for i, note in every], self._frames), strict=True))
        return [self._mix(*found[m], note, [them[i.name, note] for i in found[m][0]]) for m, note in jobs]

    def _mix(self, sounds: Sequence[Instrument], weights: Floats, note: Note, them: Sequence[Mixed]) -> Mixed:
        if len(sounds) == 1:
            level = None if _known(sounds[0], note) else self._level(sounds[0], note)
            return replace(them[0], level=level)
        codes = [m.codes for m in them]
        levels = [f for i in sounds if (f := self._level(i, note)) is not None]
        at: Sequence[Floats | None] = [None] * len(codes)
        level = None
        if levels:
            places, level = align(np.stack(levels), weights, round(FINE * self._held))
            if not np.ptp(weights, axis=1).any():
                level += np.float32(weights[:, 0] @ [loudest(f) for f in levels] - loudest(level))
            codes = [read_at(c, p) for c, p in zip(codes, places, strict=True)]
            at = list(places)
        shares = weights.reshape(len(codes), self._frames, FINE).mean(axis=2)
        mixed = arc(codes, shares) if self._spherical else line(codes, shares)
        kept = [_of_share(m.detail, w, a) for m, w, a in zip(them, weights, at, strict=True)]
        return Mixed(mixed, tuple(itertools.chain(*kept)), level)

    def _learn(self, instrument: Instrument, notes: Sequence[Note]) -> None:
        """Ask for the levels of an instrument around notes, as far as they are not known yet."""
        near = dict.fromkeys(n for note in notes for n, _ in _around(instrument, note) if (instrument.name, n) not in self._known)
        if near:
            them = alone(self._codec, [(instrument, n) for n in near], self._frames)
            found = self._codec.levels([m.codes for m in them], list(near), detail=[m.detail for m in them])
            self._known |= {(instrument.name, n): found[i] if found else None for i, n in enumerate(near)}

    def _level(self, instrument: Instrument, note: Note) -> Floats | None:
        """Level in dB (4 frames,) of an instrument alone at a note."""
        total = np.zeros(FINE * self._frames, np.float32)
        for near, weight in _around(instrument, note):
            found = self._known[instrument.name, near]
            if found is None:
                return None
            total += np.float32(weight) * found
        return total


def alone(codec: Codec, asked: Sequence[tuple[Instrument, Note]], frames: int) -> list[Mixed]:
    """Notes of one instrument each: of the known notes around it, as they would be there, the mean."""
    around = [(i, note, n, w) for i, note in asked for n, w in i.around(note)]
    there = codec.transposed(
        [i.codes[n] for i, _, n, _ in around],
        [Note(int(i.pitches[n]), int(i.velocities[n])) for i, _, n, _ in around],
        [note for _, note, _, _ in around],
        [Kept(i.detail, n) if i.detail else None for i, _, n, _ in around],
    )
    parts = iter(zip(there, around, strict=True))
    out = []
    for i, note in asked:
        some = [(codes, lost, w) for (codes, lost), (*_, w) in itertools.islice(parts, len(i.around(note)))]
        mean: Floats = np.sum([c * np.float32(w) for c, _, w in some], axis=0, dtype=np.float32)
        expected = [replace(lost, weight=lost.weight * w) for _, lost, w in some if lost is not None and w > LEAST]
        out.append(Mixed(stretch(mean, frames), (*details(i, note), *expected), None))
    return out


def _of_share(kept: Sequence[Kept], weight: Floats, at: Floats | None) -> list[Kept]:
    """What is kept of an instrument, for a note that has (4 frames,) of it, read `at` places."""
    return [replace(k, weight=np.multiply(weight, k.weight, dtype=np.float32), at=at) for k in kept]


def _known(instrument: Instrument, note: Note) -> bool:
    return bool(((instrument.pitches == note.pitch) & (instrument.velocities == note.velocity)).any())


def _around(instrument: Instrument, note: Note) -> Iterator[tuple[Note, float]]:
    """The notes whose levels answer for `note`, with weights (sum 1): by the key, and by the velocity's logarithm.

    Their keys are the known ones around it; beyond those, every STEP-th from the last.
    """
    pitches = np.unique(instrument.pitches)
    edge = int(np.clip(note.pitch, pitches[0], pitches[-1]))
    if edge == note.pitch:
        low = int(pitches[np.searchsorted(pitches, edge, side="right") - 1])
        high = int(pitches[np.searchsorted(pitches, edge)])
    else:
        step = STEP if note.pitch > edge else -STEP
        low = edge + int((note.pitch - edge) / step) * step
        high = int(np.clip(low + step, 0, 127))
    up = (note.pitch - low) / (high - low) if high != low else 0.0
    layer = next(i for i, v in enumerate(LAYERS) if note.velocity <= v)
    soft, loud = LAYERS[max(0, layer - 1)], LAYERS[layer]
    harder = float(np.log(note.velocity / soft) / np.log(loud / soft)) if loud > soft else 1.0
    for p, wp in ((low, 1 - up), (high, up)):
        for v, wv in ((soft, 1 - harder), (loud, harder)):
            if wp * wv > 0:
                yield Note(p, v), wp * wv


def details(instrument: Instrument, note: Note) -> list[Kept]:
    """What is added of an instrument's own details: all of them at a known note, elsewhere what the codec says holds there."""
    if instrument.detail is None:
        return []
    return [
        Kept(instrument.detail, i, share, away=note.pitch - int(instrument.pitches[i]))
        for i, share in instrument.around(note) if share > LEAST
    ]  # fmt: skip
