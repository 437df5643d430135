"""What a sound does from moment to moment beyond its smooth course, drawn anew for every note.

An ensemble's partials waver one by one; a network that learns by absolute error says their median and no
more. It also says how far they stray (`Said.spread`) and how fast (`Said.flutter`): enough for a first-order
process with that size and that step.
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

_GRAIN = (0.144, 0.204)
"""dB; deviation of a level kept in half decibels, and of the step between two: not the sound's, so taken off."""


def enliven(said: timbre.Said, f0: float, rng: np.random.Generator, amount: float = 1.0) -> Partials:
    """Features with fluctuation of `amount` (1: as the network expects) on levels and on the common pitch."""
    level, deviation = said.level, said.deviation
    if amount > 0:
        n = slots_for(f0)
        at = timbre.positions(f0, timbre.ZONES)[:n]
        low = np.minimum(at.astype(int), timbre.ZONES - 2)
        part = at - low
        size = np.minimum(_deviation(said.spread, _GRAIN[0]), _MOST) * np.float32(amount)
        step = _deviation(said.flutter, _GRAIN[1]) * np.float32(amount)
        stray = np.zeros_like(level)
        noise = rng.standard_normal((len(level), n), dtype=np.float32)
        _wander(size[:, low] * (1 - part) + size[:, low + 1] * part, step[:, low] * (1 - part) + step[:, low + 1] * part, noise)
        stray[:, :n] = np.where(noise > 0, _CREST * (1 - np.exp(-np.maximum(noise, 0) / _CREST)), noise)
        level = level + stray
        drift = rng.standard_normal((len(level), 1), dtype=np.float32)
        sway, wobble = (_deviation(s, 0.0)[:, None] * np.float32(amount) for s in (said.sway, said.wobble))
        _wander(sway, wobble, drift)
        deviation = deviation + drift[:, 0]
    return Partials(f0, level, said.offset, said.noise, deviation)


def _deviation(mean_size: Floats, grain: float) -> Floats:
    return np.asarray(np.sqrt(np.maximum((mean_size * _TO_DEVIATION) ** 2 - grain**2, 0)), dtype=np.float32)


@numba.njit(nogil=True, cache=True)
def _wander(size, step, noise):  # type: ignore[no-untyped-def]
    """Turn unit noise (frames, n) in place into first-order processes of deviation `size` whose steps deviate by `step`."""
    frames, n = noise.shape
    for k in range(n):
        x = noise[0, k]
        noise[0, k] = x * size[0, k]
        for t in range(1, frames):
            s = max(size[t, k], 1e-6)
            r = min(step[t, k] / s, 1.4)
            keep = 1 - 0.5 * r * r
            x = keep * x + np.sqrt(1 - keep * keep) * noise[t, k]
            noise[t, k] = x * s


