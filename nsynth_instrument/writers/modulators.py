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
_FLOORS = (60.0, 40.0, 26.0, 18.0, 14.0)
"""dB by which a position is down wherever it should be silent; the first that can be had with _RIPPLE is taken."""


def pack_modulator(source: int, target: int, amount: int, secondary: int = 0) -> bytes:
    """One record of `pmod` or `imod`; the transform is linear."""
    return struct.pack("<HHhHH", source, target, amount, secondary, 0)


def morph_modulators(cc: int, at: float, among: Sequence[float]) -> list[bytes]:
    """Records that fade in the position `at` between its neighbours `among` the axis's positions, by controller `cc`.

    At equal power: the squared gains of all positions add to one within about half a dB. Raises DataError if no sum of
    modulators comes near, as with positions that are many or close; `fadable` chooses some that can be had.
    """
    return [
        pack_modulator(_source(cc, first), ATTENUATION, amount, _source(cc, second) if second else 0)
        for (first, second), amount in _fit(at, tuple(among))
    ]


def fadable(among: Sequence[float]) -> tuple[float, ...]:
    """As many of an axis's positions, ends included, as modulators can fade: about five, evenly chosen."""
    for count in range(min(len(among), MOST_POSITIONS), 1, -1):
        chosen = tuple(among[i] for i in np.unique(np.rint(np.linspace(0, len(among) - 1, count)).astype(int)))
        try:
            for at in chosen:
                _fit(at, chosen)
        except DataError:
            continue
        return chosen
    return (among[0],)


def gains(at: float, among: Sequence[float], *, engine: int = 0) -> Doubles:
    """The amplitude gains (128,) of the position `at`, for each controller value, that the modulators give."""
    bases = _bases(engine)
    cb = np.sum([amount * bases[pair] for pair, amount in _fit(at, tuple(among))], axis=0)
    return np.asarray(10 ** (-np.maximum(cb, 0.0) / 200))


_MOST = 3200.0
"""dB; all amounts together, so that an engine that adds them in 16 bits, as cB, never wraps."""
MOST_POSITIONS = 5
"""Of an axis, that one preset fades; beyond, the fit grows loose."""
_Curve = tuple[str, int]
_Pair = tuple[_Curve, _Curve | None]


def _source(cc: int, curve: _Curve) -> int:
    """A source field: index, CC flag (bit 7), direction (bit 8), unipolar, curve (bits 10..)."""
    name, direction = curve
    return cc | 0x80 | direction << 8 | _CURVES[name] << 10


_ENGINES = ((127, 64), (128, 64), (128, 65))
"""How engines read a controller: its value over 127 or 128, and where their switch turns on."""


@lru_cache(maxsize=len(_ENGINES))
def _bases(engine: int = 0) -> dict[_Pair, Doubles]:
    """All curves (128,) in 0..1 of one controller, and the products of two, as one of _ENGINES bends them."""
    full, on = _ENGINES[engine]
    value = np.arange(128)
    single: dict[_Curve, Doubles] = {}
    for direction, x in ((0, value / full), (1, 1 - value / full)):
        single["linear", direction] = x
        single["concave", direction] = _concave(x)
        single["convex", direction] = 1 - _concave(1 - x)
        single["switch", direction] = ((value >= on) != bool(direction)).astype(float)
    if on == 65:
        single["switch", 1] = (value < 64).astype(float)  # at the half, neither
    bases: dict[_Pair, Doubles] = {(c, None): single[c] for c in single}
    bases.update({(a, b): single[a] * single[b] for a, b in itertools.combinations_with_replacement(single, 2)})
    return bases


def _concave(x: Doubles) -> Doubles:
    """Section 9.1.7 of the specification, as the engines have it: 20 log10 of the square, over 96 dB."""
    return np.asarray(np.minimum(-5 / 12 * np.log10(np.maximum(1 - x, 1e-6)), 1))


@lru_cache(maxsize=64)
def _fit(at: float, among: tuple[float, ...]) -> tuple[tuple[_Pair, int], ...]:
    """Which bases, with which amounts in cB, give the fade; as small amounts as will do."""
    from scipy.optimize import linprog

    i = among.index(at)
    value = np.arange(128) / 127
    low, here, high = (round(127 * among[max(0, min(j, len(among) - 1))]) / 127 for j in (i - 1, i, i + 1))
    share = np.interp(value, [low, here, high], [float(i == 0), 1.0, float(i + 1 == len(among))]) if low < high else np.ones(128)
    share = np.where((value < low) & (i > 0) | (value > high) & (i + 1 < len(among)), 0.0, share)
    power = np.sin(np.pi / 2 * share) ** 2
    pairs = list(_bases())
    matrix = np.concatenate([np.array([_bases(e)[p] for p in pairs]).T for e in range(len(_ENGINES))])
    power = np.tile(power, len(_ENGINES))
    n = len(pairs)
    for ripple, floor in itertools.product((_RIPPLE, 2 * _RIPPLE, 4 * _RIPPLE, 8 * _RIPPLE), _FLOORS):
        heard = power > 10 ** (-floor / 10)
        target = -10 * np.log10(np.maximum(power, 1e-30))
        # Both sides of a fade stray: each may use half of the ripple, weighed by its share of the whole.
        slack = 0.5 * ripple / np.maximum(power, 1e-3)
        rows = np.concatenate([matrix[heard], -matrix[heard], -matrix[~heard]])
        tops = np.concatenate([(target + slack)[heard], (slack - target)[heard], np.full(int((~heard).sum()), -floor), [_MOST]])
        sides = np.vstack([np.hstack([rows, -rows]), np.ones(2 * n)])
        found = linprog(np.ones(2 * n), A_ub=sides, b_ub=tops, bounds=(0, None), method="highs")
        if found.status == 0:
            amounts = np.rint(10 * (found.x[:n] - found.x[n:])).astype(int)
            return tuple((p, int(a)) for p, a in zip(pairs, amounts, strict=True) if a)
    raise DataError(f"SF2 cannot fade the morph positions {list(among)}; render fewer of them")
