"""How a pack's layers meet: along velocity and along the axes of the morph. Every format reads it here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..audio import Audio, read
from ..errors import DataError
from ..pack import SamplePack, Zone

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Fade:
    """A layer's neighbours along one dimension, in that dimension's unit; None where there is none.

    The layer rises from `before` to `at`, falls from `at` to `after`, and is full beyond a missing neighbour.
    """

    before: float | None
    at: float
    after: float | None


def fade(at: T, among: Sequence[T]) -> Fade:
    """Where the layer `at` lies among all of them, ascending."""
    i = list(among).index(at)
    return Fade(among[i - 1] if i else None, at, among[i + 1] if i + 1 < len(among) else None)


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


def velocity_fades(zones: Sequence[Zone]) -> dict[tuple[int, int], Fade]:
    """Each layer's fade by (root, velocity), for the zones of one position."""
    layers: defaultdict[int, set[int]] = defaultdict(set)
    for zone in zones:
        layers[zone.root].add(zone.velocity)
    return {(r, v): fade(v, sorted(vs)) for r, vs in layers.items() for v in vs}


def coherent(pack: SamplePack, folder: Path, *, pairs: int = 6) -> bool:
    """Whether neighbouring velocity layers of one note move together, so that their fade must add to one in amplitude.

    Layers from one oscillator phase are alike (correlation near 1) and would swell by 3 dB in an equal-power fade;
    unlike ones (near 0) would dip by 3 dB in an equal-gain fade. Looks at `pairs` neighbours spread over the pack.
    """
    by_place = {(z.position, z.root, z.velocity): z for z in pack.zones}
    found: list[tuple[Zone, Zone]] = []
    for _, zones in by_position(pack):
        for (root, velocity), f in velocity_fades(zones).items():
            if f.after is not None and zones:
                at = zones[0].position
                found.append((by_place[at, root, velocity], by_place[at, root, int(f.after)]))
    chosen = found[:: max(1, len(found) // pairs)][:pairs]
    likeness = [_correlation(read(folder / a.file)[0], read(folder / b.file)[0]) for a, b in chosen]
    return bool(likeness) and float(np.median(likeness)) > 0.5


def _correlation(a: Audio, b: Audio) -> float:
    n = min(len(a), len(b))
    return float(a[:n] @ b[:n] / max(float(np.linalg.norm(a[:n]) * np.linalg.norm(b[:n])), 1e-12))
