"""What a sound does from moment to moment beyond its smooth course, drawn anew for every note.

An ensemble's partials waver one by one; a network that learns by absolute error says their median and no
more. It also says how far they stray, how far that moves in a frame, and how far the movement changes
(`Said.level_sizes`). Three sizes are three autocovariances, and those one second-order process (Yule-Walker): a vibrato
comes back as a swing with its rate, breath as a walk without one.
"""

from __future__ import annotations

import numba
import numpy as np

from . import timbre
from .partials import Floats, Partials, slots_for

_TO_DEVIATION = 1.2533
"""Standard deviation of a normal variable over its mean absolute value."""

_MOST = 6.0
"""dB; the deviation of a level that beats as freely as noise does (Rayleigh: 5.6 dB). What is said beyond is doubt, not sound."""
_CREST = 5.0
"""dB over its mean to which a partial rises: beating cancels to nothing, but adds to little more than the parts."""
_DIP = 8.0
"""dB under its mean from which on a partial dips the faster: with _CREST, sizes stay as drawn, within 4 % up to 4 dB."""
_DEEPEST = 30.0
"""dB under its mean to which a partial dips at the most."""

_GRAIN = np.array([0.144, 0.204, 0.354], np.float32)
"""dB; deviations of a level kept in half decibels, of its step and of the step's: not the sound's, so taken off."""
_DOUBT = 1.3
"""dB; the deviation that is said of tones that stand still, too: the network's doubt, so taken off, with its course kept."""


def enliven(said: timbre.Said, f0: float, rng: np.random.Generator, amount: float = 1.0) -> Partials:
    """Features with fluctuation of `amount` (1: as the network expects) on levels and on the common pitch."""
    level, deviation = said.level, said.deviation
    if amount > 0:
        n = slots_for(f0)
        at = timbre.positions(f0, timbre.ZONES)[:n]
        low = np.minimum(at.astype(int), timbre.ZONES - 2)
        part = at - low
        sizes = said.level_sizes[:, :, low] * (1 - part) + said.level_sizes[:, :, low + 1] * part
        sizes = _deviations(sizes, _GRAIN[:, None])
        whole = np.maximum(sizes[:, :1], 1e-6)
        stray = np.zeros_like(level)
        noise = rng.standard_normal((len(level), n), dtype=np.float32)
        _swing(sizes, noise)
        noise *= np.float32(amount) * np.sqrt(np.maximum(1 - (_DOUBT / whole[:, 0]) ** 2, 0)) * np.minimum(1, _MOST / whole[:, 0])
        rise, dip = np.maximum(noise, 0), np.clip(-noise, 0, _DIP * np.log1p(_DEEPEST / _DIP))
        stray[:, :n] = _CREST * (1 - np.exp(-rise / _CREST)) - _DIP * (np.exp(dip / _DIP) - 1)
        level = level + stray
        drift = rng.standard_normal((len(level), 1), dtype=np.float32)
        _swing(_deviations(said.pitch_sizes[:, :, None], np.float32(0)), drift)
        deviation = deviation + drift[:, 0] * np.float32(amount)
    return Partials(f0, level, said.offset, said.noise, deviation, said.attack)


def _deviations(mean_sizes: Floats, grain: Floats | np.float32) -> Floats:
    """Standard deviations (frames, ORDERS, n) of what has these mean sizes, without the grain's share."""
    return np.asarray(np.sqrt(np.maximum((mean_sizes * np.float32(_TO_DEVIATION)) ** 2 - grain**2, 0)), dtype=np.float32)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _swing(sizes, noise):  # type: ignore[no-untyped-def]
    """Turn unit noise (frames, n) in place into second-order processes; sizes: deviations of them and of their two differences.

    Of variance 1 and autocorrelations r1, r2, differences have variances 2 - 2 r1 and 6 - 8 r1 + 2 r2.
    """
    frames, n = noise.shape
    for k in range(n):
        before = x = np.float32(0)
        for t in range(frames):
            size = max(sizes[t, 0, k], np.float32(1e-6))
            step = (sizes[t, 1, k] / size) ** 2
            bend = (sizes[t, 2, k] / size) ** 2
            r1 = min(max(1 - step / 2, -0.95), 0.9995)
            r2 = (bend - 6 + 8 * r1) / 2
            # The second reflection coefficient: -1 is a pure sine, 0 a first-order walk.
            b = min(max((r2 - r1 * r1) / (1 - r1 * r1), -0.98), 0.7)
            a = r1 * (1 - b)
            spread = np.sqrt((1 - r1 * r1) * (1 - b * b))
            if t == 0:
                now = noise[0, k]
            elif t == 1:
                now = r1 * x + np.sqrt(1 - r1 * r1) * noise[1, k]
            else:
                now = a * x + b * before + spread * noise[t, k]
            before, x = x, now
            noise[t, k] = now * size
