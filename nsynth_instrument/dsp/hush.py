"""Noise that would hardly be heard beside its note, made silent: what says it, codes or analysis, is wrong by some dB there."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np

from .partials import BAND_EDGES, Partials, slots_for

_NEAR = 16
"""Frames before and after one over which the note's loudness is taken."""
_KNOWN, _GUESSED = (-34.0, -42.0), (-33.0, -44.0)
"""dB re the note: a band said to be under the first is put under the second, if it is not already; within 2 or 2.75 dB the one
turns into the other. What is 40 dB under a note is as good as silent (`hiss.CLEAN`). What lies lower stays as it is."""


def hushed(note: Partials, *, known: bool) -> Partials:
    """The same note; where its noise would hardly be heard beside it, a quarter of a second around, it is not.

    known: whether its noise was heard, and not said by codes or by other keys, which are wrong by more.
    """
    noise = note.noise.copy()
    _hush(note.level[:, : slots_for(note.f0)], noise, np.diff(BAND_EDGES), _NEAR, *(_KNOWN if known else _GUESSED))
    return replace(note, noise=noise)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _hush(level, noise, width, near, loud, soft):  # type: ignore[no-untyped-def]
    """Turn noise down in place. level: dB (frames, slots); noise: dB re 1/Hz (frames, BANDS); width: Hz (BANDS,)."""
    frames, to_log = len(level), np.float32(np.log(10) / 10)
    power = np.empty(frames)
    for t in range(frames):
        power[t] = 0.5 * np.exp(level[t] * to_log).sum() + (np.exp(noise[t] * to_log) * width).sum()
    wide = 10 * np.log10(width)
    for t in range(frames):
        total = 0.0
        for i in range(t - near, t + near + 1):
            total += power[min(max(i, 0), frames - 1)]
        note = 10 * np.log10(max(total / (2 * near + 1), 1e-14))
        for b in range(noise.shape[1]):
            beside = noise[t, b] + wide[b] - note
            if soft < beside < loud:
                noise[t, b] -= min(beside - soft, 3 * (loud - beside))
