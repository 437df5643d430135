"""Notes brought to sound at their f0, as reports measure it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .additive import noise_bands, played, tones
from .analysis import measure_f0
from .partials import RATE, Floats, Partials
from .pitch import cents_off, thinness

Doubles = npt.NDArray[np.float64]

EXACT = 0.1
"""Cents by which a note may be off."""
TRIES, FURTHER = 10, 1.5
"""How often a note is made again to be so at most, one is enough for nearly all; and by how much more than it is off it is moved,
after the first try, where it is still off to the same side."""


def sounding(note: Partials, pitch: float) -> float:
    """Hz at which a note of ten harmonics sounds, as a report says it (`cents_off`: all of it counts alike); by its energy where
    that is deaf.

    By energy, what a struck note does in its first moments counts most: its middle was up to 8 cents off then.
    """
    phase, times = np.random.default_rng(0).random((note.level.shape[1],)), thinness(RATE, note.f0)
    off = cents_off(tones(note, phase, thin=2**times), RATE / 2**times, pitch)
    return note.f0 * 2 ** (off / 1200) if np.isfinite(off) else measure_f0(tones(note, phase), pitch)


def in_tune(note: Partials, pitch: float) -> Partials:
    """The same note with its pitch exactly at f0: its first ten harmonics are synthesised, measured, and the rest taken off."""
    low = Partials(note.f0, note.level[:, :10], note.offset[:, :10], note.noise, note.deviation, beat=note.beat)
    found = sounding(low, pitch)
    off = 1200 * np.log2(found / note.f0)
    return replace(note, deviation=note.deviation - np.float32(off))


def exact(note: Partials, pitch: float, rng: np.random.Generator) -> Floats:
    """A note's audio, sounding at f0 to EXACT where its pitch can be told."""
    phase = rng.random((note.level.shape[1],))
    return tuned(note, pitch, phase, noise_bands(note.noise, rng))[0]


def tuned(note: Partials, pitch: float, phase: Doubles, noise: Floats) -> tuple[Floats, Partials]:
    """What is `played` at f0 to EXACT, and the note so moved.

    What `in_tune` does not hear, noise and partials above the tenth, moves trembling strings by up to 7 cents: the whole is
    measured, and made again of the same draw, the rest taken off. Of what trembles most, pitch goes back and forth as it is
    moved, without jumps: between a place that is too low and one that is too high there is one in tune.
    """
    best, found = played(note, phase, noise), note
    least = off = cents_off(best, RATE, pitch)
    ends, moved = {off > 0: (0.0, off)}, -off
    for _ in range(TRIES):
        if not abs(least) > EXACT:  # in tune, or no pitch to be told
            break
        tried = replace(note, deviation=note.deviation + np.float32(moved))
        audio = played(tried, phase, noise)
        off = cents_off(audio, RATE, pitch)
        if not np.isfinite(off):
            break
        if abs(off) < abs(least):
            best, found, least = audio, tried, off
        ends[off > 0] = moved, off
        if len(ends) == 2:
            (a, low), (b, high) = ends[False], ends[True]
            moved = a + (b - a) * float(np.clip(low / (low - high), 0.2, 0.8))
        else:
            moved -= FURTHER * off
    return best, found
