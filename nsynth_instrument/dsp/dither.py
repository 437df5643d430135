"""Samples as whole numbers: scaled, dithered, rounded, clipped and packed in one pass."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def pack(audio, dither, full, out):  # type: ignore[no-untyped-def]
    """Audio (frames,) in +-1 as integers of `full` scale, little-endian bytes into `out` (frames, bytes); returns their peak.

    dither: (frames + 1,), whose differences are added, or nothing.
    """
    peak = 0
    for t in range(len(audio)):
        x = audio[t] * full
        if len(dither):
            x += dither[t + 1] - dither[t]
        n = int(min(max(np.rint(x), 1 - full), full - 1))
        peak = max(peak, abs(n))
        for b in range(out.shape[1]):
            out[t, b] = (n >> (8 * b)) & 255
    return peak
