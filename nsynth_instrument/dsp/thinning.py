"""Sound at half its rate, and half of that again: where low frequencies alone are looked at, the rest is work for nothing."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ROOM = 4.0
"""Times the highest frequency that is looked at, the least rate: so far from it all that folds back is stopped."""

_SIDE = 6
_ODD = np.arange(-2 * _SIDE + 1, 2 * _SIDE, 2)
_HALF = (np.sin(0.5 * np.pi * _ODD) / (np.pi * _ODD) * np.kaiser(4 * _SIDE + 1, 8.0)[1::2]).astype(np.float32)
"""A half-band filter's odd places; of the even ones only the middle is not zero. 80 dB down above 3/8 of the rate."""


def halvings(rate: float, highest: float) -> int:
    """How often a rate can be halved for what lies up to `highest` Hz."""
    return max(0, int(np.floor(np.log2(rate / (ROOM * highest)))))


def thinned(audio: Floats, times: int) -> Floats:
    """Sound (frames,), its rate halved so many `times`; its first frame stays in place."""
    for _ in range(times):
        audio = _halved(np.ascontiguousarray(audio, np.float32), _HALF)
    return audio


@numba.njit(nogil=True, cache=True, fastmath=True)
def _halved(audio, taps):  # type: ignore[no-untyped-def]
    n, side = (len(audio) + 1) // 2, len(taps) // 2
    odd = np.zeros(n + 2 * side, np.float32)
    out = np.empty(n, np.float32)
    for i in range(len(audio) // 2):
        odd[side + i] = audio[2 * i + 1]
    for first in range(0, n, 1024):  # a stretch that stays in cache
        some, near = out[first : first + 1024], odd[first:]
        for i in range(len(some)):
            some[i] = np.float32(0.5) * audio[2 * (first + i)]
        for j in range(len(taps)):
            for i in range(len(some)):
                some[i] += taps[j] * near[i + j]
    return out
