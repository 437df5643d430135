"""A pack's cover: rainbowgrams of its notes, from one end of the morph to the other."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np

from ..audio import fit, read
from ..dsp.rainbow import RATE, Picture, rainbowgram
from ..errors import DataError
from ..pack import SamplePack, Zone
from ..picture import write_png

T = TypeVar("T")

COVER = "cover.png"
SIDE = 1200
"""Points; shops ask for a square."""
MOST = 5
"""Positions a row, of those there are, evenly chosen."""
LOW, HIGH = 36, 90
"""The keys among which four are chosen to show a pack of one position, if it has them."""
VELOCITY = 100


def write_cover(folder: Path) -> Path:
    """Write `cover.png` into the pack's folder.

    A morph's positions stand side by side, or as the square that they are, each with its note nearest to middle C; a pack of
    one position shows up to four of its keys. Raises DataError or AudioError when the pack is not whole.
    """
    pack = SamplePack.load(folder)
    rows = _rows(pack)
    heights, widths = _split(len(rows)), [_split(len(row)) for row in rows]
    lines = []
    for row, height, across in zip(rows, heights, widths, strict=True):
        cells = [_fit(_shown(folder, z), height, width) for z, width in zip(row, across, strict=True)]
        lines.append(np.concatenate(cells, axis=1))
    write_png(folder / COVER, np.concatenate(lines))
    return folder / COVER


def _rows(pack: SamplePack) -> list[list[Zone]]:
    positions = [p for p in pack.positions if any(z.position == p for z in pack.zones)]
    if not positions:
        raise DataError(f"the pack {pack.name} holds no note at its positions; render it again")

    def nearest(position: tuple[float, ...], key: int) -> Zone:
        here = [z for z in pack.zones if z.position == position]
        return min(here, key=lambda z: (abs(z.root - key), abs(z.velocity - VELOCITY)))

    if len(positions) == 1:
        roots = sorted({z.root for z in pack.zones if z.position == positions[0]})
        shown = [nearest(positions[0], key) for key in _some([k for k in roots if LOW <= k <= HIGH] or roots, 4)]
        return [shown[:2], shown[2:]] if len(shown) == 4 else [shown]
    rows: dict[float, list[tuple[float, ...]]] = {}
    for position in positions:
        rows.setdefault(position[1] if len(position) > 1 else 0.0, []).append(position)
    return [[nearest(p, 60) for p in _some(row, MOST)] for row in _some(list(rows.values()), MOST)]


def _some(values: list[T], most: int) -> list[T]:
    """At most so many of them, evenly chosen, both ends included."""
    return [values[i] for i in np.unique(np.rint(np.linspace(0, len(values) - 1, min(len(values), most))).astype(int))]


def _shown(folder: Path, zone: Zone) -> Picture:
    sound, _ = read(folder / zone.file, rate=RATE)
    return rainbowgram(fit(sound, 4 * RATE))


def _split(parts: int) -> list[int]:
    """SIDE as whole numbers of points, as equal as can be."""
    return [SIDE * (i + 1) // parts - SIDE * i // parts for i in range(parts)]


def _fit(picture: Picture, height: int, width: int) -> Picture:
    """The picture at another size: each point that of the nearest."""
    y, x = (((np.arange(n) + 0.5) * old / n).astype(int) for n, old in ((height, picture.shape[0]), (width, picture.shape[1])))
    out: Picture = picture[y][:, x]
    return out
