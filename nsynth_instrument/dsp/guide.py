"""What a guided WaveNet is told of a note: sines to follow, how loud what it adds should be, and the note's colour.

The sines of a note's partials are cut into the network's PQMF bands. What the network says, level by level, is what the
sines leave out, in units of a scale that follows the features: noise is then near 1 in every band of every note, and a band
that ought to be silent stays so. All of it is known before the first sample is drawn, so a few steps ahead may be heard.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from . import pqmf, timbre
from .partials import BAND_EDGES, HOP, RATE, SILENCE, Partials, slots_for
from .partials import BANDS as NOISES

Floats = npt.NDArray[np.float32]

BANDS = 12
"""PQMF bands of 2 kHz."""
SAID = 10
"""Of those, the ones that the network has a say in: what lies over 20 kHz is left out, as features leave it out."""
STEPS = HOP // BANDS
"""Network steps per frame of features."""
AHEAD = (-1, 0, 1)
"""Steps at which the sines are heard, from the one that is said."""
COLOURS = 24
"""Points of the partials' envelope that the network is told."""
TOLD = NOISES + COLOURS
"""Values per code frame."""
SOURCE = (len(AHEAD) + 2) * BANDS + 2
"""Values per step."""
TONAL = 0.03
"""Share of a band's sines that counts as noise to come: no analysis follows a partial more closely."""
FLOOR = 1e-6
"""Least scale, re full scale."""
_ONSETS = (0.004, 0.03)
"""s in which the two marks of an onset fade."""
_LOUDEST = 100.0
"""Of the sines, in units of the scale."""
_CELL = 50.0
"""Hz of a row of the bands' responses."""


@cache
def responses() -> Floats:
    """Power gain (cells, BANDS) of each analysis filter at the middles of cells of 50 Hz up to half the rate."""
    filters = pqmf.filters(BANDS)[0]
    at = (np.arange(int(RATE / 2 / _CELL)) + 0.5) * _CELL
    turns = np.exp(-2j * np.pi * at[:, None] / RATE * np.arange(filters.shape[1]))
    return np.asarray(np.abs(turns @ filters.T) ** 2, dtype=np.float32)


@cache
def _noise_weights() -> Floats:
    """(NOISES, BANDS): power in each PQMF band of noise of density 1 per Hz in each ERB band."""
    gains = responses()
    at = (np.arange(len(gains)) + 0.5) * _CELL
    fine = np.minimum(at[:, None] + _CELL / 2, BAND_EDGES[1:]) - np.maximum(at[:, None] - _CELL / 2, BAND_EDGES[:-1])
    return np.asarray(np.maximum(fine, 0).T @ gains, dtype=np.float32)


def powers(note: Partials) -> tuple[Floats, Floats]:
    """Power of the sines and of the noise in each PQMF band, both (frames, BANDS), re full scale."""
    n = slots_for(note.f0)
    frequency = (np.arange(1, n + 1) + note.offset[:, :n]) * note.f0
    cell = np.clip(frequency / _CELL, 0, len(responses()) - 1).astype(np.intp)
    level = note.level[:, :n]
    sounding = np.where(level > SILENCE + 1, 0.5 * 10 ** (level / 10), 0).astype(np.float32)
    sines = np.einsum("tk,tkb->tb", sounding, responses()[cell])
    return sines, np.asarray((10 ** (note.noise / 10)) @ _noise_weights(), dtype=np.float32)


def by_step(frames: Floats) -> Floats:
    """(frames, n) as (frames * STEPS, n), in straight lines from each frame to the next."""
    part = (np.arange(STEPS, dtype=np.float32) / STEPS)[:, None]
    after = np.concatenate([frames[1:], frames[-1:]])
    return np.asarray((frames[:, None] * (1 - part) + after[:, None] * part).reshape(-1, frames.shape[1]), dtype=np.float32)


def scale(note: Partials) -> tuple[Floats, Floats]:
    """Scale of the levels (steps, BANDS) re full scale, and the log10 of the noise's part in its power."""
    sines, noise = powers(note)
    both = np.maximum(noise + np.float32(TONAL**2) * sines, np.float32(FLOOR**2))
    share = np.log10(np.maximum(noise, np.float32(FLOOR**2 / 100)) / both)
    return np.asarray(10 ** by_step(np.float32(0.5) * np.log10(both)), np.float32), by_step(share)


def calm(share: Floats) -> Floats:
    """What the noise of each level is multiplied by (steps, BANDS), for `share` as `scale` gives it.

    Where the sines make the scale, what the network is unsure of is their course: to draw that would be hiss. There it says
    nearly the mean; where there is noise it draws all of it; and at the onset, which is never quite one or the other, most.
    """
    seconds = np.arange(len(share), dtype=np.float32)[:, None] * np.float32(BANDS / RATE)
    return np.asarray(10 ** (0.5 * share * (1 - np.exp(-seconds / np.float32(_ONSETS[1])))), dtype=np.float32)


def colour(note: Partials) -> Floats:
    """What stands for the note's sound (frames / PER_CODE, TOLD): its noise and its partials' envelope, means of code frames."""
    noise = (np.maximum(note.noise, -150) + 110) / 25
    envelope = (np.maximum(note.level, -120) + 70) / 25 @ timbre.to_envelope(note.f0)
    envelope = envelope.reshape(len(note), COLOURS, -1).mean(axis=2)
    both = np.concatenate([noise, envelope], axis=1).reshape(-1, timbre.PER_CODE, TOLD)
    return np.asarray(both.mean(axis=1), dtype=np.float32)


def source(sines: Floats, levels: Floats, share: Floats, first: int = 0) -> Floats:
    """What the network hears at each step (steps, SOURCE).

    sines (steps + 2, BANDS): from one step before the first to one after the last; levels, share: as `scale` gives
    them; first: step of the note at which they begin.
    """
    steps = len(levels)
    # Where a partial starts all at once, it clicks in bands that have no scale for it.
    near = [companded(np.clip(sines[1 + a : 1 + a + steps] / levels, -_LOUDEST, _LOUDEST)) for a in AHEAD]
    seconds = (np.arange(first, first + steps, dtype=np.float32) * np.float32(BANDS / RATE))[:, None]
    marks = [np.exp(-seconds / np.float32(s)) for s in _ONSETS]
    return np.concatenate([*near, np.log10(levels) * 0.5 + 1.5, share * 0.5, *marks], axis=1, dtype=np.float32)


def companded(levels: Floats) -> Floats:
    """As `nets.wavenet.companded`."""
    return np.asarray(levels / np.sqrt(1 + np.abs(levels)), dtype=np.float32)


