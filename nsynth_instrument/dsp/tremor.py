"""A partial that trembles faster than a quarter of its note's f0 is noise between partials, and not said twice.

Features hear such tremor twice: levels in their short windows, noise in its long one. Made again it has sidebands nearer to the
middle between two partials than to either, and those alone can lie 36 dB under a low note whose recording is clean there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.fft

from .partials import HOP, RATE, SILENCE, Partials, slots_for

_FAST = (1 / 8, 1 / 4)
"""Of f0: tremor passes up to the first, none from the second on; a noise's slot counts from the latter on (`analysis`)."""
_ONSET = (0.05, 0.1)
"""s in which it begins: an onset is fast."""
_EDGE = 64
"""Frames by which a note is lengthened at both ends."""
_QUIET = -50.0
"""dB re a note's loudest level; what a quieter partial does is not heard beside it."""


def slowed(note: Partials) -> Partials:
    """The same note without what its levels do faster than a quarter of f0; of f0 that no frame is too slow for, the same."""
    rate = RATE / HOP
    if note.f0 * _FAST[1] >= rate / 2:
        return note
    frames, n = len(note), slots_for(note.f0)
    some = np.flatnonzero(note.level[:, :n].max(axis=0) > note.level[:, :n].max() + _QUIET)
    level = np.ascontiguousarray(note.level[:, some].T)
    sounding = level > SILENCE + 1
    level = np.maximum(level, SILENCE + 10)
    size = scipy.fft.next_fast_len(frames + 2 * _EDGE, real=True)
    spectrum = scipy.fft.rfft(np.pad(level, ((0, 0), (_EDGE, size - frames - _EDGE)), mode="edge"))
    low, high = (note.f0 * share for share in _FAST)
    part = np.clip((np.arange(spectrum.shape[1]) * (rate / size) - low) / (high - low), 0, 1)
    spectrum *= (0.5 + 0.5 * np.cos(np.pi * part)).astype(np.float32)
    slow = scipy.fft.irfft(spectrum, size)[:, _EDGE : _EDGE + frames]
    seconds = np.arange(frames) / rate
    share = np.clip((seconds - _ONSET[0]) / (_ONSET[1] - _ONSET[0]), 0, 1).astype(np.float32)
    out = note.level.copy()
    out[:, some] = np.where(sounding, level + share * (slow - level), note.level[:, some].T).T
    return replace(note, level=out)
