"""A recording's features, changed until what is made of them has no noise between partials where the recording has none.

Analysis-by-synthesis: what features say of noise, and noise that partials make which jump in level or frequency, is heard once
they sound. `hiss` tells both from the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .hiss import CLEAN, FROM, TO, floors, fundamental
from .partials import BAND_EDGES, QUIETEST, RATE, SILENCE, Floats, Partials, slots_for

GOAL = CLEAN - 2.0
"""dB re the note; noise drawn anew is up to 1 dB louder in a band."""
LOWEST = GOAL - 4.0
"""To where noise is taken that was over it, if the recording has as little: of what dies away, draws differ by up to 4 dB."""
TRIES = 20
DRAWS = 3
"""That must be free one after another; each is another, or the note would be fitted to those that are heard."""
SHORTEST = 0.5
"""s of a recording."""
_STILL = ((5, 1, 1), (9, 1, 1), (17, 1, 1), (17, 3, 1), (33, 5, 5), (33, 9, 9), (65, 17, 17), (65, 33, 33))
"""Frames over which offsets and levels of partials that make noise are smoothed, and the course of pitch, from try to try: chirps
are noise sooner than beats are, and a vibrato seldom is."""
_SOFTER = np.float32(0.5)
"""dB by which they are then made softer from try to try: what dies away within a window is noise there, however smooth."""
_ONSET = 12
"""Frames that stay as they are."""

Made = Callable[[Partials, int], tuple[Floats, Floats]]
"""Audio of features at RATE in a draw of that number, and of their partials alone."""


def quieted(note: Partials, audio: Floats, pitch: float, made: Made) -> Partials:
    """The note as it is, or changed where `made` hisses and its recording `audio` (at RATE, key near MIDI `pitch`) does not.

    What is shorter than half a second stays as it is: nothing is held then.
    """
    if len(audio) < SHORTEST * RATE:
        return note
    f0 = fundamental(audio, pitch)
    own = floors(audio, f0)
    clean, goals = own <= CLEAN, np.clip(own + 1, LOWEST, GOAL)
    free = 0
    tried, noise, stage = note, note.noise.copy(), np.zeros(slots_for(note.f0), np.intp)
    for n in range(TRIES):
        whole, tones = made(tried, n)
        here = floors(whole, f0)
        over = clean & (here > GOAL + 0.3)
        if not over.any():
            free += 1
            if free == DRAWS:
                break
            continue
        goal, of_tones = 10 ** (goals / 10), 10 ** (floors(tones, f0) / 10) * (_rms(tones) / _rms(whole)) ** 2
        room, of_noise = goal - of_tones, np.maximum(10 ** (here / 10) - of_tones, 1e-9)
        noisy = over & (room > 0.2 * goal)
        less = np.where(noisy, np.clip(15 * np.log10(of_noise / np.maximum(room, 1e-9)), 0.7, 12), 0)
        less[over & ~noisy & (of_noise > 0.3 * goal)] = 3
        # Between bands noise is interpolated, and a band may be narrower than a bin. What is not clean may share a slot with what
        # is: there noise is brought near the recording's own.
        beside = np.maximum(np.append(less[1:], 0), np.insert(less[:-1], 0, 0))
        near = np.minimum(_sharing(less, f0), np.maximum(here - own + 2, 0))
        noise -= np.where(clean, np.maximum(less, 0.6 * beside), near).astype(np.float32)
        for band in np.flatnonzero(over & ~noisy):
            low, high = BAND_EDGES[band] / note.f0 - 1.5, BAND_EDGES[band + 1] / note.f0 + 0.5
            stage[max(0, int(low)) : int(np.ceil(high))] += 1
        tried, free = replace(note, noise=np.maximum(noise, QUIETEST)), 0
        for step in np.unique(stage[stage > 0]):
            bends, swings, course = _STILL[min(step, len(_STILL)) - 1]
            tried = _stilled(tried, slots := np.flatnonzero(stage == step), bends, swings)
            tried.level[_ONSET:, slots] -= max(0, step - len(_STILL)) * _SOFTER
        if stage.any():
            tried.deviation[_ONSET:] = _mean(note.deviation, course)[_ONSET:]
    return tried


def _sharing(less: npt.NDArray[np.float64], f0: float) -> npt.NDArray[np.float64]:
    """The most (BANDS,) that is taken off any band with which a band shares a slot of f0."""
    first, last = np.floor(BAND_EDGES[:-1] / f0 + 0.5) - 0.5, np.ceil(BAND_EDGES[1:] / f0 - 0.5) + 0.5
    shares = (first[:, None] * f0 <= BAND_EDGES[None, 1:]) & (last[:, None] * f0 >= BAND_EDGES[None, :-1])
    return np.asarray((shares * less[:, None]).max(axis=0))


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
