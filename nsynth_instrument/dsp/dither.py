"""Samples as whole numbers: scaled, dithered, rounded, clipped and packed in one pass."""

from __future__ import annotations

import numba
import numpy as np

from .wide import wide

SOME = 1024
"""Frames that are in the nearest cache."""


@numba.njit(nogil=True, cache=True)
def pack(audio, dither, full, out):  # type: ignore[no-untyped-def]
    """Audio (frames,) in +-1 as integers of `full` scale, little-endian bytes into `out` (frames, bytes); returns their peak.

    dither: (frames + 1,), whose differences are added, or nothing.
    """
    wide()
    peak, least, most = np.int32(0), 1 - full, full - 1
    whole = np.empty(SOME, np.int32)
    for first in range(0, len(audio), SOME):
        here, noise, count = audio[first:], dither[first:], min(SOME, len(audio) - first)
        if len(dither):
            for t in range(count):
                whole[t] = np.int32(min(max(np.rint(here[t] * full + (noise[t + 1] - noise[t])), least), most))
        else:
            for t in range(count):
                whole[t] = np.int32(min(max(np.rint(here[t] * full), least), most))
        for t in range(count):
            peak = max(peak, abs(whole[t]))
        for t in range(count):
            for b in range(out.shape[1]):
                out[first + t, b] = whole[t] >> np.int32(8 * b)
    return peak
