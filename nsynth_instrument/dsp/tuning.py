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
TRIES = 4
"""How often a note is made again to be so; one is enough for nearly all."""


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
    measured, and made again of the same draw, the rest taken off.
    """
    best, found = played(note, phase, noise), note
    off = cents_off(best, RATE, pitch)
    for _ in range(TRIES):
        if not abs(off) > EXACT:  # in tune, or no pitch to be told
            break
        tried = replace(found, deviation=found.deviation - np.float32(off))
        audio = played(tried, phase, noise)
        there = cents_off(audio, RATE, pitch)
        if not abs(there) < abs(off):
            break
        best, found, off = audio, tried, there
    return best, found
