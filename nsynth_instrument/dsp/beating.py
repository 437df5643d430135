"""Two detuned oscillators in every slot, told from what the network says of how levels move, and played as two.

Of detuned oscillators each partial swings as much faster as its number is higher, which it does not in a tremolo, and they hold
their pitch, which players and singers do not, of whom many sound alike in their levels.
"""

from __future__ import annotations

import numpy as np

from . import timbre
from .partials import HOP, RATE, SILENCE, Beat, Floats, slots_for

_DEPTH = 30.0
"""dB under the loudest partial to which others count: what is said of a zone is learned from its loud ones."""
_SLOTS = 20
"""So many are asked."""
_RATES = (7.0, 17.0)
"""Hz between which rates tell: doubt is as fast as the lower, and what is faster than the higher is said to be slower."""
_STEADY = (-2.2, -1.6)
"""Cents, downwards, by which pitch is said to stray: from where on a note may be of two oscillators, and where it is if all
that follows says so. Saw leads and accordions 0.1 to 1.6, strings, choirs and flutes 2.5 to 5."""
_LARGE = (1.2, 1.8)
"""dB that partials are said to stray in the mean: less is doubt."""
_RISES = (0.1, 0.25)
"""Slope of the logarithm of rates over that of numbers: 0 of a tremolo."""
_SWINGS = (0.49, 0.52)
"""How much partials swing: 1 of a sine, 1 / 3 of a walk; a church organ 0.49."""
_FULL = 3.4
"""dB; the lesser oscillator's amplitude is to the other's as the hyperbolic tangent of the size that is said over this. A sum of
two sines strays by 5.5 dB times that ratio, within 4 %, but windows fill dips, and the more the deeper they are."""


def beats(said: timbre.Said, f0: float, grain: Floats) -> tuple[float, float]:
    """How surely a note is two oscillators', 0 to 1, and by how many Hz their fundamentals are apart. grain: what is said of the
    sizes that is not the sound's, dB (ORDERS,).
    """
    n = min(slots_for(f0), _SLOTS)
    level = said.level[:, :n]
    peaks = level.max(axis=1)
    loud = 10 ** ((np.maximum(peaks, SILENCE) - peaks.max()) / 40)
    loud /= loud.sum()
    sure = _ramp(-float(loud @ said.pitch_sizes[:, 0]), _STEADY)
    if not sure:
        return 0.0, 0.0
    under = loud @ level
    under -= under.max()
    sizes = np.tensordot(loud, said.level_sizes, 1).astype(np.float64) @ timbre.to_harmonics(f0, timbre.ZONES)[:, :n]
    size, step, bend = np.sqrt(np.maximum(sizes**2 - grain[:, None] ** 2, 1e-8))
    rate = 2 * np.arcsin(np.minimum(step / size / 2, 1)) * (RATE / HOP / (2 * np.pi))
    some = np.flatnonzero((under > -_DEPTH) & (rate > _RATES[0]) & (rate < _RATES[1]))
    if len(some) < 2:
        return 0.0, 0.0
    number, rate, weight = some + 1.0, rate[some], size[some] * 10 ** (under[some] / 40)
    weight /= weight.sum()
    apart = weight * (np.log(number) - weight @ np.log(number))
    slope = (apart @ np.log(rate)) / (apart @ np.log(number))
    swings = weight @ (step**2 / (size * bend))[some]
    sure *= _ramp(float(weight @ size[some]), _LARGE) * _ramp(float(slope), _RISES) * _ramp(float(swings), _SWINGS)
    return sure, float((weight * number) @ rate / ((weight * number) @ number))


def beat(sizes: Floats, sure: float, hz: float, amount: float, rng: np.random.Generator) -> Beat:
    """The second oscillators of a note whose levels are said to stray by `sizes` in dB (frames, n)."""
    ratio = np.tanh(sizes * np.float32(amount / _FULL)) * np.float32(sure)
    return Beat(hz, ratio, rng.random((sizes.shape[1],)))


def _ramp(x: float, between: tuple[float, float]) -> float:
    return min(max((x - between[0]) / (between[1] - between[0]), 0.0), 1.0)
