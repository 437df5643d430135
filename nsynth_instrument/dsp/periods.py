"""The period of a held sound, from its autocorrelation at ever longer lags.

A lag of many periods tells one period as finely as many: at one second, a hundredth of a frame is a thousandth of a cent
(for the short lags see de Cheveigne & Kawahara 2002, YIN).
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from .thinning import halvings, thinned
from .wide import wide

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


KEPT = 24
"""Harmonics that a sound keeps when its period is looked for."""
HIGHEST = 3000.0
"""Hz; of those, what lies higher is not looked at, but for the first."""
APART = 1.5
"""Times the fundamental, what is looked at at least: a peak of the first alone stands on six frames, and a parabola fits it."""


def period(audio: Floats, rate: float, f0_hz: float) -> float:
    """Mean period in frames of a steady sound (frames,), near that of `f0_hz` (within half a semitone).

    Follows the autocorrelation's peak from one period to ever longer lags, each of which divides the error.
    """
    times = thinness(rate, f0_hz)
    centred = thinned(audio - audio.mean(), times)
    return float(follow(centred, energy(centred), rate / 2**times / f0_hz, len(centred)) * 2**times)


def thinness(rate: float, f0_hz: float) -> int:
    """How often a rate can be halved for a period to be found as finely."""
    return halvings(rate, max(APART * f0_hz, min(KEPT * f0_hz, HIGHEST)))


def wander(audio: Floats, rate: float, f0_hz: float, *, least: float = math.inf) -> float:
    """The range, in cents, of the pitches of a held sound's (frames,) fifths; of the first ones where that is `least`."""
    n, low, high = len(audio) // 5, math.inf, -math.inf
    for i in range(5):
        cents = 1200 * math.log2(period(audio[i * n : (i + 1) * n], rate, f0_hz))
        low, high = min(low, cents), max(high, cents)
        if high - low >= least:
            break
    return high - low


@numba.njit(nogil=True, cache=True)
def energy(x):  # type: ignore[no-untyped-def]
    """Sum of squares (frames + 1,) before each frame of x (frames,)."""
    total = np.zeros(len(x) + 1)
    for i in range(len(x)):
        total[i + 1] = total[i] + x[i] * x[i]
    return total


def autocorrelation(x: Floats, squares: Doubles, longest: int) -> Floats:
    """Likeness in +-1 of the sound and itself `lag` frames later, for lags up to `longest` or three quarters of it.

    `squares` is its `energy`.
    """
    n = len(x)
    most = min(longest, 3 * n // 4)
    size = scipy.fft.next_fast_len(n + most, real=True)
    spectrum = scipy.fft.rfft(x, size)
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    products = scipy.fft.irfft(power, size)[:most]
    scale = squares[n - most + 1 :][::-1] * (squares[n] - squares[:most])
    np.sqrt(scale, out=scale)
    products /= np.maximum(scale, 1e-12, out=scale)
    return np.asarray(products, dtype=np.float32)


@numba.njit(nogil=True, cache=True)
def between(values, at):  # type: ignore[no-untyped-def]
    """A smooth array (n,) at places (m,) between its own, by the polynomial through eight of them; the ends are held."""
    out, weights = np.empty(len(at), np.float32), np.empty(8)
    for k in range(len(at)):
        first = int(np.floor(at[k])) - 3
        total = 0.0
        for i in range(8):
            weights[i] = 1.0
            for j in range(8):
                if j != i:
                    weights[i] *= (at[k] - first - j) / (i - j)
            total += weights[i] * values[min(max(first + i, 0), len(values) - 1)]
        out[k] = total
    return out


@numba.njit(nogil=True, cache=True)
def follow(x, squares, cycle, longest):  # type: ignore[no-untyped-def]
    """A period in frames of a sound (frames,), near `cycle`, refined along the peaks of its `autocorrelation` up to `longest`.

    squares: its `energy`. Of one period every lag is looked at, of more only those that lead uphill from where the peak is due.
    """
    most = min(longest, 3 * len(x) // 4)
    periods, reach = 1, 0.03 * cycle
    while periods * cycle + reach + 2 < most:
        low, high = max(1, round(periods * cycle - reach)), round(periods * cycle + reach)
        at = round(periods * cycle)
        if periods == 1:
            most_alike = -2.0
            for lag in range(low, high + 1):
                here = alike(x, squares, lag)
                if here > most_alike:
                    at, most_alike = lag, here
        a, b, c = alike(x, squares, at - 1), alike(x, squares, at), alike(x, squares, at + 1)
        while c > b and at < high:
            at, a, b, c = at + 1, b, c, alike(x, squares, at + 2)
        while a > b and at > low:
            at, a, b, c = at - 1, alike(x, squares, at - 2), a, b
        if b > 0.5 and at > 1:
            cycle = (at + min(max(0.5 * (a - c) / min(a - 2 * b + c, -1e-12), -0.5), 0.5)) / periods
        periods, reach = periods * 2, 0.2 * cycle
    return cycle


@numba.njit(nogil=True, cache=True, fastmath=True)
def alike(x, squares, lag):  # type: ignore[no-untyped-def]
    """Likeness in +-1 of a sound (frames,) and itself `lag` frames later; squares: its `energy`."""
    wide()
    n = len(x) - lag
    total = 0.0
    for first in range(0, n, 4096):
        here, there = x[first : min(first + 4096, n)], x[first + lag : min(first + 4096, n) + lag]
        part = np.float32(0)
        for i in range(len(here)):
            part += here[i] * there[i]
        total += np.float64(part)
    return total / max(np.sqrt(squares[n] * (squares[len(x)] - squares[lag])), 1e-12)
