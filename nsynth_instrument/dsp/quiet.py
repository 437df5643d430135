"""A recording's features, changed until what is made of them has no noise between partials where the recording has none.

Analysis-by-synthesis: what features say of noise, and noise that partials make which jump in level or frequency, is heard once
they sound. `hiss` tells both from the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .hiss import CLEAN, FROM, TO, floors
from .partials import BAND_EDGES, QUIETEST, RATE, SILENCE, Floats, Partials, slots_for

GOAL = CLEAN - 2.0
"""dB re the note; noise drawn anew is up to 1 dB louder in a band."""
TRIES = 12
SHORTEST = 0.5
"""s of a recording."""
_STILL = ((5, 1, 1), (9, 1, 1), (17, 1, 1), (17, 3, 1), (33, 5, 5), (33, 9, 9), (65, 17, 17), (65, 33, 33))
"""Frames over which offsets and levels of partials that make noise are smoothed, and the course of pitch, from try to try: chirps
are noise sooner than beats are, and a vibrato seldom is."""
_ONSET = 12
"""Frames that stay as they are."""

Made = Callable[[Partials], tuple[Floats, Floats]]
"""Audio of features at RATE, and of their partials alone."""


def quieted(note: Partials, audio: Floats, pitch: float, made: Made) -> Partials:
    """The note as it is, or changed where `made` hisses and its recording `audio` (at RATE, key near MIDI `pitch`) does not.

    What is shorter than half a second stays as it is: nothing is held then.
    """
    if len(audio) < SHORTEST * RATE:
        return note
    clean = floors(audio, pitch) <= CLEAN
    best, least = note, np.inf
    tried, noise, stage = note, note.noise.copy(), np.zeros(slots_for(note.f0), np.intp)
    for _ in range(TRIES):
        whole, tones = made(tried)
        here = floors(whole, pitch)
        over = clean & (here > GOAL + 0.3)
        amiss = float((here[over] - GOAL).sum())
        if amiss < least:
            best, least = tried, amiss
        if not over.any():
            break
        goal, of_tones = 10 ** (GOAL / 10), 10 ** (floors(tones, pitch) / 10) * (_rms(tones) / _rms(whole)) ** 2
        room, of_noise = goal - of_tones, np.maximum(10 ** (here / 10) - of_tones, 1e-9)
        noisy = over & (room > 0.2 * goal)
        less = np.where(noisy, np.clip(15 * np.log10(of_noise / np.maximum(room, 1e-9)), 0.7, 12), 0)
        less[over & ~noisy & (of_noise > 0.3 * goal)] = 3
        # Between bands noise is interpolated, and a band may be narrower than a bin.
        beside = np.maximum(np.append(less[1:], 0), np.insert(less[:-1], 0, 0))
        noise -= np.where(clean, np.maximum(less, 0.6 * beside), 0).astype(np.float32)
        for band in np.flatnonzero(over & ~noisy):
            low, high = BAND_EDGES[band] / note.f0 - 1.5, BAND_EDGES[band + 1] / note.f0 + 0.5
            stage[max(0, int(low)) : int(np.ceil(high))] += 1
        tried = replace(note, noise=np.maximum(noise, QUIETEST))
        for n in np.unique(stage[stage > 0]):
            bends, swings, course = _STILL[min(n, len(_STILL)) - 1]
            tried = _stilled(tried, np.flatnonzero(stage == n), bends, swings)
        if stage.any():
            tried.deviation[_ONSET:] = _mean(note.deviation, course)[_ONSET:]
    return best


def _rms(audio: Floats) -> float:
    """Of what `floors` looks at."""
    return float(np.sqrt(np.mean(np.square(audio[int(FROM * RATE) : int(TO * RATE)], dtype=np.float64)))) + 1e-12


def _stilled(note: Partials, slots: npt.NDArray[np.intp], bends: int, swings: int) -> Partials:
    """The same with moving means of slots' offsets, by power, over `bends` frames, and of their levels in dB over `swings`."""
    level, offset = note.level.copy(), note.offset.copy()
    here = level[:, slots]
    power = np.asarray(10 ** (here / 10) + 1e-14, np.float32)
    offset[_ONSET:, slots] = (_mean(offset[:, slots] * power, bends) / _mean(power, bends))[_ONSET:]
    sounds = here > SILENCE + 1
    level[_ONSET:, slots] = np.where(sounds, _mean(np.maximum(here, SILENCE + 10), swings), here)[_ONSET:]
    return replace(note, level=level, offset=offset, deviation=note.deviation.copy())


def _mean(of: Floats, frames: int) -> Floats:
    """Moving mean over the first axis; ends are held."""
    import scipy.ndimage  # as in `analysis`

    return np.asarray(scipy.ndimage.uniform_filter1d(of, frames, axis=0, mode="nearest"), dtype=np.float32)
