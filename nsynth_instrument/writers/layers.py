"""How a pack's layers meet: along velocity and along the axes of the morph. Every format reads it here."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..audio import read
from ..errors import DataError
from ..pack import SamplePack, Zone

T = TypeVar("T", int, float)


_NARROW = 5
"""Velocities on either side of a border within which unlike layers fade."""


@dataclass(frozen=True)
class Fade:
    """How a layer meets its neighbours along one dimension, in that dimension's unit.

    rise: silent at the first number, full from the second on; fall: full until the first, silent at the second; None
    where there is no neighbour, and the layer is full to the end.
    """

    rise: tuple[float, float] | None
    fall: tuple[float, float] | None


def fade(at: T, among: Sequence[T]) -> Fade:
    """The fade of the layer `at` whose neighbours among all of them, ascending, it meets half way."""
    i = list(among).index(at)
    return Fade((among[i - 1], at) if i else None, (at, among[i + 1]) if i + 1 < len(among) else None)


def axes(pack: SamplePack) -> tuple[tuple[float, ...], ...]:
    """Ascending coordinates along each axis of the morph: ((0.0, 0.5, 1.0),) for three positions of one axis.

    Raises DataError when the positions of two axes are no full grid: players can only fade along lines.
    """
    found = tuple(tuple(sorted(set(column))) for column in zip(*pack.positions, strict=True))
    if len(pack.positions) != int(np.prod([len(a) for a in found])):
        raise DataError(f"the morph positions of pack {pack.name!r} are no full grid; render every pair of its coordinates")
    return found


def by_position(pack: SamplePack) -> list[tuple[tuple[float, ...], list[Zone]]]:
    """The zones of each position, in the order of `pack.positions`."""
    found: defaultdict[tuple[float, ...], list[Zone]] = defaultdict(list)
    for zone in pack.zones:
        found[zone.position].append(zone)
    return [(p, found[p]) for p in pack.positions]


def velocity_fades(zones: Sequence[Zone], *, alike: bool) -> dict[tuple[int, int], Fade]:
    """Each velocity layer's fade by (root, velocity), for the zones of one position.

    Layers that are `alike` fade all the way from one's velocity to the next one's; others cancel each other in
    places when they sound together, and meet only around the border.
    """
    layers: defaultdict[int, dict[int, Zone]] = defaultdict(dict)
    for zone in zones:
        layers[zone.root][zone.velocity] = zone
    found = {}
    for root, by_velocity in layers.items():
        velocities = sorted(by_velocity)
        for v in velocities:
            full = fade(v, velocities)
            found[root, v] = full if alike else Fade(*(_narrow(side, by_velocity) for side in (full.rise, full.fall)))
    return found


def _narrow(side: tuple[float, float] | None, by_velocity: Mapping[int, Zone]) -> tuple[float, float] | None:
    if side is None:
        return None
    top = by_velocity[int(side[0])].high_velocity
    return max(side[0], top - _NARROW), min(side[1], top + 1 + _NARROW)


def layers_alike(pack: SamplePack, folder: Path, *, pairs: int = 6) -> bool:
    """Whether neighbouring velocity layers move together, measured on `pairs` of them spread over the pack.

    Sounds from one oscillator phase are alike (correlation near 1), and their gains must add to one, or a fade swells by up to
    3 dB; others (near 0) keep their level when their squared gains add to one, as positions of a morph do, which are decoded
    a quarter turn apart.
    """
    rows: defaultdict[tuple[object, ...], list[Zone]] = defaultdict(list)
    for z in pack.zones:
        rows[z.position, z.root].append(z)
    found = [pair for row in rows.values() for pair in itertools.pairwise(sorted(row, key=lambda z: z.velocity))]
    return _alike(found[:: max(1, len(found) // pairs)][:pairs], folder, pack.rate)


def _alike(pairs: Sequence[tuple[Zone, Zone]], folder: Path, rate: int) -> bool:
    """Whether the pairs' correlation, the median over stretches of 0.1 s and over the pairs, is more than a half."""
    found: list[float] = []
    for a, b in pairs:
        x, y = read(folder / a.file)[0], read(folder / b.file)[0]
        hop = min(rate // 10, len(x), len(y))
        n = min(len(x), len(y)) // hop
        cut = slice(n // 8, max(n * 3 // 4, n // 8 + 1))
        x, y = (s[: n * hop].reshape(n, hop)[cut] for s in (x, y))
        loud = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        found += ((x * y).sum(axis=1)[loud > 0] / loud[loud > 0]).tolist()
    return bool(found) and float(np.median(found)) > 0.5
