"""A pack made ready to play: checked, read, brought to the device's rate, and laid out for the mixer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from .. import audio
from ..errors import DataError, NsynthError
from ..pack import MANIFEST, SamplePack, Zone
from .state import CELL, GUARD, LAYER, SAMPLE, Array

HEAD = 0.5
"""s of every memory-mapped sample that stay in RAM, so that a note starts at once while the disk is asked for the rest."""

UNROLL = 4096
"""frames by which a loop is continued before it is resampled: longer than soxr's filter."""

STRANGERS = 0.15
"""Excess of power (see LAYER) under which two positions count as strangers: half a second shows as much by chance, 0.6 dB."""

BATCH = 64


@dataclass(frozen=True)
class Sound:
    """A pack in memory, at `rate` Hz; indices in the tables count from 0 and are shifted when packs are joined.

    axes: the coordinates of the nx + ny morph positions; cells: (ny * nx * 128,); memory, mapped: bytes in RAM and on disk;
    keep: what owns the memory that `samples` points to.
    """

    pack: SamplePack
    rate: int
    nx: int
    ny: int
    axes: Array
    cells: Array
    layers: Array
    samples: Array
    memory: int
    mapped: int
    keep: tuple[Any, ...]


def find(paths: Sequence[Path]) -> list[Path]:
    """Folders of packs: each path is a pack, or a folder of packs (taken in the order of their names).

    Raises DataError when a path is neither.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_file() or (path / MANIFEST).is_file():
            found.append(path if path.is_dir() else path.parent)
        else:
            inside = sorted(p.parent for p in path.glob(f"*/{MANIFEST}")) if path.is_dir() else []
            if not inside:
                raise DataError(
                    f"{path} is no pack and holds none: it has no {MANIFEST}; render one with nsynth-instrument render"
                )
            found += inside
    return found


def check(folder: Path) -> SamplePack:
    """The manifest of a pack of which every file is there.

    Raises DataError naming the first file that is missing, or when the pack cannot be played.
    """
    pack = SamplePack.load(folder)
    if not pack.zones:
        raise DataError(f"{folder} holds no zones, so no key would sound; render the pack again")
    files = dict.fromkeys(z.file for z in pack.zones)
    missing = [f for f in files if not (folder / f).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {len(missing)} of {len(files)} files, the first is {missing[0]}; render the pack again")
    return pack


def size(pack: SamplePack, rate: int) -> int:
    """Bytes that the pack takes in RAM at `rate` Hz."""
    return sum(int(z.frames * rate / pack.rate) * 4 for z in pack.zones)


def load(
    folder: Path, *, rate: int, budget: int, progress: Callable[[int, int], None] | None = None, pack: SamplePack | None = None
) -> Sound:
    """Read a pack at `rate` Hz into RAM, or beyond `budget` bytes into a file that is memory-mapped.

    `pack` may stand for the folder's manifest, as one of only some of its zones. Raises DataError or AudioError when a file
    is missing, damaged, or is not what the manifest says.
    """
    pack = pack or check(folder)
    samples = np.zeros(len(pack.zones), SAMPLE)
    heard: list[Array] = []
    keep: list[Any] = []
    memory = 0
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1))
        shelf = stack.enter_context(contextlib.closing(_Shelf(rate))) if size(pack, rate) > budget else None
        for first in range(0, len(pack.zones), BATCH):
            zones = pack.zones[first : first + BATCH]
            for i, (body, after, row) in enumerate(pool.map(lambda z: _read(folder, pack, z, rate), zones), first):
                samples[i] = row
                heard.append(body[GUARD : GUARD + rate // 2].copy())
                kept = [body, after] if shelf is None else shelf.put(samples[i : i + 1], body, after)
                for array, name in zip(kept, ("body", "after"), strict=True):
                    if array is not None:
                        keep.append(array)
                        memory += array.nbytes
                        samples[i][name] = (int(samples[i][name]) + array.ctypes.data) % 2**64
                if progress:
                    progress(i + 1, len(pack.zones))
        mapped = 0
        if shelf is not None:
            mapped = shelf.map(samples)
            keep += shelf.keep
            memory += shelf.memory
    nx, ny, axes, cells, layers = _arrange(pack, heard)
    return Sound(pack, rate, nx, ny, axes, cells, layers, samples, memory, mapped, tuple(keep))


def _read(folder: Path, pack: SamplePack, zone: Zone, rate: int) -> tuple[Array, Array | None, Array]:
    """Frames -GUARD.. up to the loop's end or the file's, the frames after the loop if there is one, and the SAMPLE row.

    The addresses in the row are offsets in bytes, to be added to where the arrays will stand.
    """
    path = folder / zone.file
    if zone.sha256:
        with path.open("rb") as f:
            if hashlib.file_digest(f, "sha256").hexdigest() != zone.sha256:
                raise DataError(f"{path} is not the file that was rendered: its checksum differs; render the pack again")
    x, found = audio.read(path)
    if found != pack.rate or len(x) != zone.frames:
        raise DataError(
            f"{path} has {len(x)} frames at {found} Hz, {MANIFEST} says {zone.frames} at {pack.rate} Hz; render the pack again"
        )
    if abs(x[-1]) > 1e-3:
        x = audio.fade(x, int(0.002 * found))
    row = np.zeros((), SAMPLE)
    row["root"] = zone.root
    whole = audio.resample(x, found, rate)
    guard = np.zeros(GUARD, np.float32)
    row["frames"] = len(whole)
    if zone.loop is None:
        return np.concatenate([guard, whole, guard]), None, row
    start, end = zone.loop.start, zone.loop.end + 1
    ratio = rate / found
    turns = ceil(UNROLL / (end - start))
    endless = audio.resample(np.concatenate([x[:end], np.tile(x[start:end], turns)]), found, rate)
    last = ceil(end * ratio)
    switch = max(int(end * ratio) - GUARD, 0)
    row["loop_start"], row["loop_end"], row["switch"] = start * ratio, end * ratio, switch
    row["after"] = (-4 * switch) % 2**64
    body = np.concatenate([guard, endless[: last + GUARD]])
    after = np.concatenate([guard, whole, guard])[switch:]
    return body, after, row


class _Shelf:
    """Samples in a scratch file that vanishes by itself; their heads, and what loops early, in RAM."""

    def __init__(self, rate: int) -> None:
        import platformdirs

        folder = platformdirs.user_cache_path("nsynth-instrument")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        except OSError as e:
            raise NsynthError(f"cannot write in {folder} ({e.strerror}); raise --memory so that the pack fits") from e
        self.head = int(HEAD * rate)
        self.keep: list[Any] = []
        self.memory = 0
        self.places: list[tuple[int, str, int]] = []
        self.rows = 0

    def put(self, row: Array, body: Array, after: Array | None) -> list[Array | None]:
        """Write a sample away; gives back the arrays (body, after) that stay in RAM instead."""
        index, self.rows = self.rows, self.rows + 1
        short = len(body) <= 2 * self.head
        if not short:
            row["head"] = self.head
            head = body[: self.head + 2 * GUARD].copy()
            row["attack"] = head.ctypes.data
            self.keep.append(head)
            self.memory += head.nbytes
            self._write(index, "body", body)
        if after is not None:
            row["mapped"] = 1
            self._write(index, "after", after)
        row["mapped"] = int(not short or after is not None)
        return [body if short else None, None]

    def _write(self, index: int, name: str, data: Array) -> None:
        self.places.append((index, name, self.file.tell()))
        try:
            self.file.write(data.tobytes())
        except OSError as e:
            raise NsynthError(f"the disk cannot hold the memory map ({e.strerror}); free some space or raise --memory") from e

    def close(self) -> None:
        """Let go of the file; a map of it stays."""
        self.file.close()

    def map(self, samples: Array) -> int:
        """Map the file and add its address to the rows; returns its bytes."""
        self.file.flush()
        if not self.places:
            return 0
        data = np.memmap(self.file, np.uint8, "r")
        for index, name, place in self.places:
            samples[name][index] = (int(samples[name][index]) + data.ctypes.data + place) % 2**64
        self.keep.append(data)
        return len(data)


def _arrange(pack: SamplePack, heard: Sequence[Array]) -> tuple[int, int, Array, Array, Array]:
    """nx, ny, axes, cells and layers: which samples answer for each position and key."""
    nx, ny, axes, place = _axes(pack)
    cells = np.zeros(nx * ny * 128, CELL)
    layers: list[tuple[int, float, float, float, tuple[float, float]]] = []
    level = [float(np.sqrt(np.mean(np.square(h, dtype=np.float64)))) for h in heard]
    at: dict[int, list[int]] = {}
    for i, zone in enumerate(pack.zones):
        at.setdefault(place[zone.position], []).append(i)
    likeness: dict[tuple[int, int], float] = {}
    for p, members in at.items():
        for key in range(128):
            cells[p * 128 + key] = len(layers), 0
            for a, b in _pairs(_answer(pack.zones, members, key)):
                if (a, b) not in likeness:
                    likeness[a, b] = _alike(heard[a], heard[b]) if b >= 0 else 1.0
                layers.append((a, pack.zones[a].velocity, level[a], likeness[a, b], (0.0, 0.0)))
                cells[p * 128 + key]["count"] += 1
    rows = np.array(layers, LAYER)
    for axis, (count, step) in enumerate(((nx, 1), (ny, nx))):
        for p in range(nx * ny):
            if p // step % count < count - 1:
                for key in range(128):
                    here, there = cells[p * 128 + key], cells[(p + step) * 128 + key]
                    for i in range(min(here["count"], there["count"])):
                        a, b = int(rows["sample"][here["first"] + i]), int(rows["sample"][there["first"] + i])
                        if (a, b) not in likeness:
                            likeness[a, b] = _alike(heard[a], heard[b])
                        power = level[a] ** 2 + level[b] ** 2
                        excess = 2.0 * likeness[a, b] * level[a] * level[b] / power if power > 0 else 0.0
                        if abs(excess) > STRANGERS:
                            rows["beside"][here["first"] + i, axis] = max(excess, -0.5)  # those opposed now may agree later
    return nx, ny, axes, cells, rows


def _pairs(found: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from zip(found, [*found[1:], -1], strict=True)


def _answer(zones: Sequence[Zone], members: Sequence[int], key: int) -> list[int]:
    """Zones of one position that answer for a key, from soft to loud; those with the nearest root when none claims it."""
    claim = [i for i in members if zones[i].low_key <= key <= zones[i].high_key] or list(members)
    root = min((abs(zones[i].root - key), zones[i].root) for i in claim)[1]
    by_velocity = {max(zones[i].velocity, 1): i for i in reversed(claim) if zones[i].root == root}
    return [by_velocity[v] for v in sorted(by_velocity)]


def _alike(a: Array, b: Array) -> float:
    n = min(len(a), len(b))
    x, y = a[:n].astype(np.float64), b[:n].astype(np.float64)
    norm = float(np.sqrt(x.dot(x) * y.dot(y)))
    return float(x.dot(y)) / norm if norm > 0 else 1.0


def _axes(pack: SamplePack) -> tuple[int, int, Array, dict[tuple[float, ...], int]]:
    """One or two axes that the positions fill; anything else is walked through in the order it is listed in."""
    found = {z.position for z in pack.zones}
    order = [p for p in dict.fromkeys((*pack.positions, *sorted(found))) if p in found]
    flat = [tuple(p) + (0.0,) * (2 - len(p)) for p in order]
    if all(len(p) == 2 for p in flat):
        xs, ys = sorted({p[0] for p in flat}), sorted({p[1] for p in flat})
        if len(set(flat)) == len(order) == len(xs) * len(ys):
            if len(xs) == 1:
                xs, ys, flat = ys, xs, [(y, x) for x, y in flat]
            place = {p: ys.index(f[1]) * len(xs) + xs.index(f[0]) for p, f in zip(order, flat, strict=True)}
            return len(xs), len(ys), np.array([*xs, *ys], np.float64), place
    steps = [*np.linspace(0.0, 1.0, len(order)), 0.0]
    return len(order), 1, np.array(steps, np.float64), {p: i for i, p in enumerate(order)}
