"""Noise that would hardly be heard beside its note, made silent: what says it, codes or analysis, is wrong by some dB there."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np

from .curves import exp2
from .partials import BAND_EDGES, Partials, slots_for
from .wide import wide

_NEAR = 16
"""Frames before and after one over which the note's loudness is taken."""
_KNOWN, _GUESSED = (-34.0, -42.0), (-33.0, -44.0)
"""dB re the note: a band said to be under the first is put under the second, if it is not already; within 2 or 2.75 dB the one
turns into the other. What is 40 dB under a note is as good as silent (`hiss.CLEAN`). What lies lower stays as it is."""


def hushed(note: Partials, *, known: bool) -> Partials:
    """The same note; where its noise would hardly be heard beside it, a quarter of a second around, it is not.

    known: whether its noise was heard, and not said by codes or by other keys, which are wrong by more.
    """
    noise, width = note.noise.copy(), np.diff(BAND_EDGES).astype(np.float32)
    _hush(note.level[:, : slots_for(note.f0)], noise, width, _NEAR, *(_KNOWN if known else _GUESSED))
    return replace(note, noise=noise)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _hush(level, noise, width, near, loud, soft):  # type: ignore[no-untyped-def]
    """Turn noise down in place. level: dB (frames, slots); noise: dB re 1/Hz (frames, BANDS); width: Hz (BANDS,)."""
    wide()
    frames, octaves, far = len(level), np.float32(np.log2(10) / 10), np.float32(300)
    power = np.empty(frames)
    for t in range(frames):
        tones = noises = np.float32(0)
        for k in range(level.shape[1]):
            tones += exp2(min(max(level[t, k], -far), far) * octaves)
        for b in range(noise.shape[1]):
            noises += exp2(min(max(noise[t, b], -far), far) * octaves) * width[b]
        power[t] = np.float32(0.5) * tones + noises
    widths = 10 * np.log10(width)
    for t in range(frames):
        total = 0.0
        for i in range(t - near, t + near + 1):
            total += power[min(max(i, 0), frames - 1)]
        note = 10 * np.log10(max(total / (2 * near + 1), 1e-14))
        for b in range(noise.shape[1]):
            beside = noise[t, b] + widths[b] - note
            if soft < beside < loud:
                noise[t, b] -= min(beside - soft, 3 * (loud - beside))
