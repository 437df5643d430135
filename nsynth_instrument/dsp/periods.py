"""The period of a held sound, from its autocorrelation at ever longer lags.

A lag of many periods tells one period as finely as many: at one second, a hundredth of a frame is a thousandth of a cent
(for the short lags see de Cheveigne & Kawahara 2002, YIN).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.fft

from .thinning import halvings, thinned

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


KEPT = 24
"""Harmonics that a sound keeps when its period is looked for."""


def period(audio: Floats, rate: int, f0_hz: float) -> float:
    """Mean period in frames of a steady sound (frames,), near that of `f0_hz` (within half a semitone).

    Follows the autocorrelation's peak from one period to ever longer lags, each of which divides the error.
    """
    times = halvings(rate, KEPT * f0_hz)
    centred = thinned(audio - audio.mean(), times)
    return follow(autocorrelation(centred, energy(centred), len(centred)), rate / 2**times / f0_hz) * float(2**times)


def wander(audio: Floats, rate: int, f0_hz: float, *, least: float = math.inf) -> float:
    """The range, in cents, of the pitches of a held sound's (frames,) fifths; of the first ones where that is `least`."""
    n, low, high = len(audio) // 5, math.inf, -math.inf
    for i in range(5):
        cents = 1200 * math.log2(period(audio[i * n : (i + 1) * n], rate, f0_hz))
        low, high = min(low, cents), max(high, cents)
        if high - low >= least:
            break
    return high - low


def energy(x: Floats) -> Doubles:
    """Sum of squares (frames + 1,) before each frame."""
    total = np.zeros(len(x) + 1)
    np.cumsum(np.square(x), out=total[1:])
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


def follow(likeness: Floats, cycle: float) -> float:
    """A period in frames, near `cycle`, refined along the peaks of the likeness."""
    periods, reach = 1, 0.03 * cycle
    while (lag := periods * cycle) + reach + 2 < len(likeness):
        low = max(1, round(lag - reach))
        peak = low + int(np.argmax(likeness[low : round(lag + reach) + 1]))
        if likeness[peak] > 0.5 and 1 < peak < len(likeness) - 1:
            a, b, c = map(float, likeness[peak - 1 : peak + 2])
            cycle = (peak + float(np.clip(0.5 * (a - c) / min(a - 2 * b + c, -1e-12), -0.5, 0.5))) / periods
        periods, reach = periods * 2, 0.2 * cycle
    return float(cycle)
