"""The two sides of a loop's seam blended into each other, in place and compiled."""

from __future__ import annotations

import math

import numba
import numpy as np

from .curves import exp2
from .wide import wide

NEPER = math.log(10) / 20
"""A decibel."""
OCTAVE = math.log2(10) / 20
"""The same as a power of two."""
EVEN = 1e-3
"""dB of ripple that are left."""
PIECES = 64
"""Of half a window, whose energies stand for it while its ripple is levelled: what levels it is smooth."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def blend(out, first, after, n, window, tilt):  # type: ignore[no-untyped-def]
    """Tilt a loop of `out` (frames,), from `first` to before `after`, by so many dB, what follows with it, and turn n frames on
    either side of both into their common mean, of constant power; then level the ripple, over `window`."""
    wide()
    if tilt:
        ramp(out[first:after], tilt * NEPER / max(after - first - 1, 1))
        after_it = np.float32(np.exp(tilt * NEPER))
        for i in range(after, len(out)):
            out[i] *= after_it
    here, there = out[first - n : first + n], out[after - n : after + n]
    both = one = other = 0.0
    for i in range(2 * n):
        both += np.float64(here[i]) * there[i]
        one += np.float64(here[i]) * here[i]
        other += np.float64(there[i]) * there[i]
    apart = 1 - max(both / max(np.sqrt(one * other), 1e-12), 0.0)
    mixed = np.empty((2, 2 * n))
    wave, turn = complex(-1.0, 0.0), complex(np.cos(np.pi / n), np.sin(np.pi / n))
    bump, slope = np.empty(2 * n), np.empty(2 * n)
    for i in range(2 * n):
        bump[i], slope[i] = 0.5 * (1 + wave.real), wave.imag
        wave *= turn
    for i in range(2 * n):
        share = 0.5 * bump[i]  # of the other sound: 1/2 at the seam, 0 at the ends
        power = 1 / np.sqrt(1 - 2 * share * (1 - share) * apart)
        mixed[0, i] = ((1 - share) * here[i] + share * there[i]) * power
        mixed[1, i] = ((1 - share) * there[i] + share * here[i]) * power
    up, over = _even(mixed, slope, bump, min(window, n))
    for i in range(2 * n):
        gain = exp2(np.float32(OCTAVE * (up * slope[i] + over * bump[i])))
        here[i], there[i] = mixed[0, i] * gain, mixed[1, i] * gain


@numba.njit(nogil=True, cache=True)
def ramp(out, nepers):  # type: ignore[no-untyped-def]
    """Raise out (frames,) by so many nepers a frame, from none on."""
    fine = np.exp(nepers * np.arange(256)).astype(np.float32)
    for begin in range(0, len(out), 256):
        coarse, some = np.float32(np.exp(nepers * begin)), out[begin : begin + 256]
        for i in range(len(some)):
            some[i] *= coarse * fine[i]


@numba.njit(nogil=True, cache=True)
def _even(mixed, slope, bump, window):  # type: ignore[no-untyped-def]
    """dB of a slope and of a bump, (2 n,) each, about a seam, that level the last ripple of the loop's end and start, joined."""
    n = mixed.shape[1] // 2
    power, up, over = np.zeros(4 * PIECES), np.empty(4 * PIECES), np.empty(4 * PIECES)
    edges = np.array([0, window // 2, window, window + window // 2, 2 * window])
    for part in range(4):
        first, length = edges[part], edges[part + 1] - edges[part]
        for k in range(PIECES):
            low, high = first + length * k // PIECES, first + length * (k + 1) // PIECES
            for i in range(low, high):
                x = mixed[1 if i < window else 0, n - window + i]
                power[part * PIECES + k] += x * x
            middle = n - window + min((low + high) // 2, 2 * window - 1)
            up[part * PIECES + k], over[part * PIECES + k] = slope[middle], bump[middle]
    a = b = 0.0
    for _ in range(8):
        sums = np.zeros(4)
        for k in range(4 * PIECES):
            sums[k // PIECES] += power[k] * np.exp(2 * NEPER * (a * up[k] + b * over[k]))
        before, across, later = [10 * np.log10((sums[i] + sums[i + 1]) / window + 1e-14) for i in range(3)]
        da, db = 0.7 * (before - later), 0.5 * (before + later) - across
        some = min(1.0, 3.0 / max(abs(da) + abs(db), 1e-12))
        a, b = a + some * da, b + some * db
        if abs(da) + abs(db) < EVEN:
            break
    return a, b
