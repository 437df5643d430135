"""SF2 modulators: those that switch off a player's own dynamics, and those that fade morph positions by a controller.

SoundFont 2.04, section 8.2: a modulator adds `amount * primary * secondary` to a generator, each source bent by a
curve. Attenuations add in dB, so a position's whole fade is one sum of bent controllers, found by linear programming.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import DataError

Doubles = npt.NDArray[np.float64]

ATTENUATION = 48
"""The generator initialAttenuation, in cB."""
OFF = ((0x0502, ATTENUATION), (0x0102, 8), (0x0081, 6))
"""Default modulators that the samples make wrong: velocity to level and to filter, and mod wheel to vibrato."""

_CURVES = {"linear": 0, "concave": 1, "convex": 2, "switch": 3}
_RIPPLE = 0.2
"""dB by which the summed power of all positions may stray, where the fit can keep to it."""
_FLOORS = (60.0, 50.0, 40.0, 30.0, 24.0, 18.0, 12.0)
"""dB by which a position is down wherever it should be silent; the first that can be had with _RIPPLE is taken."""


def pack_modulator(source: int, target: int, amount: int, secondary: int = 0) -> bytes:
    """One record of `pmod` or `imod`; the transform is linear."""
    return struct.pack("<HHhHH", source, target, amount, secondary, 0)


def morph_modulators(cc: int, at: float, among: Sequence[float]) -> list[bytes]:
    """Records that fade in the position `at` between its neighbours `among` the axis's positions, by controller `cc`.

    At equal power: the squared gains of all positions add to one within about _RIPPLE. Raises DataError if no sum of
    modulators comes near, as with positions that lie very close together.
    """
    return [
        pack_modulator(_source(cc, first), ATTENUATION, amount, _source(cc, second) if second else 0)
        for (first, second), amount in _fit(at, tuple(among))
    ]


def gains(at: float, among: Sequence[float]) -> Doubles:
    """The amplitude gains (128,) of the position `at`, for each controller value, that the modulators give."""
    bases = _bases()
    cb = np.sum([amount * bases[pair] for pair, amount in _fit(at, tuple(among))], axis=0) if len(among) > 1 else np.zeros(128)
    return np.asarray(10 ** (-np.maximum(cb, 0.0) / 200))


_Curve = tuple[str, int]
_Pair = tuple[_Curve, _Curve | None]


def _source(cc: int, curve: _Curve) -> int:
    """A source field: index, CC flag (bit 7), direction (bit 8), unipolar, curve (bits 10..)."""
    name, direction = curve
    return cc | 0x80 | direction << 8 | _CURVES[name] << 10


@lru_cache(maxsize=1)
def _bases() -> dict[_Pair, Doubles]:
    """All curves (128,) in 0..1 of one controller, and the products of two."""
    up = np.arange(128) / 127
    concave = np.ones(128)
    concave[:127] = np.minimum(-5 / 12 * np.log10(1 - up[:127]), 1)
    rising = {"linear": up, "concave": concave, "convex": 1 - concave[::-1], "switch": (up >= 0.5).astype(float)}
    single: dict[_Curve, Doubles] = {(n, d): c[::-1] if d else c for n, c in rising.items() for d in (0, 1)}
    bases: dict[_Pair, Doubles] = {(c, None): single[c] for c in single}
    bases.update({(a, b): single[a] * single[b] for a, b in itertools.combinations_with_replacement(single, 2)})
    return bases


@lru_cache(maxsize=64)
def _fit(at: float, among: tuple[float, ...]) -> tuple[tuple[_Pair, int], ...]:
    """Which bases, with which amounts in cB, give the fade; as small amounts as will do."""
    from scipy.optimize import linprog

    i = among.index(at)
    value = np.arange(128) / 127
    power = np.zeros(128)
    low, here, high = (round(127 * among[max(0, min(j, len(among) - 1))]) / 127 for j in (i - 1, i, i + 1))
    power[value == here] = 1.0
    if i > 0:
        power = np.where((value > low) & (value < here), np.sin(np.pi / 2 * (value - low) / max(here - low, 1e-9)) ** 2, power)
    else:
        power[value < here] = 1.0
    if i + 1 < len(among):
        power = np.where((value > here) & (value < high), np.cos(np.pi / 2 * (value - here) / max(high - here, 1e-9)) ** 2, power)
    else:
        power[value > here] = 1.0
    pairs = list(_bases())
    matrix = np.array([_bases()[p] for p in pairs]).T
    n = len(pairs)
    for ripple, floor in itertools.product((_RIPPLE, 3 * _RIPPLE), _FLOORS):
        heard = power > 10 ** (-floor / 10)
        target = -10 * np.log10(np.maximum(power, 1e-30))
        # Both sides of a fade stray: each may use half of the ripple, weighed by its share of the power.
        slack = 0.5 * ripple / np.maximum(power, 1e-3)
        rows = np.concatenate([matrix[heard], -matrix[heard], -matrix[~heard]])
        tops = np.concatenate([(target + slack)[heard], (slack - target)[heard], np.full(int((~heard).sum()), -floor)])
        found = linprog(
            np.ones(2 * n), A_ub=np.hstack([rows, -rows]), b_ub=tops, bounds=[(0, 3000)] * (2 * n), method="highs"
        )
        if found.status == 0:
            amounts = np.rint(10 * (found.x[:n] - found.x[n:])).astype(int)
            return tuple((p, int(a)) for p, a in zip(pairs, amounts, strict=True) if a)
    raise DataError(f"SF2 cannot fade morph positions as close as {list(among)}; render fewer of them or leave sf2 out")
