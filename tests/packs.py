"""Synthetic packs: periodic tones whose harmonics tell which velocity layer and which morph position sounds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nsynth_instrument.notes import Note, NoteGrid, hz
from nsynth_instrument.pack import Loop, SamplePack, Zone
from nsynth_instrument.writers.names import sample_file
from nsynth_instrument.writers.wav import write_wav

ROOTS = (36, 60, 84)
VELOCITIES = (32, 80, 127)
LAYER_MARK = 2
"""Velocity layer j sounds harmonic LAYER_MARK + j."""
PLACE_MARK = 6
"""Morph position k sounds harmonic PLACE_MARK + k."""
SECONDS = 1.2
TWO, THREE, CORNERS = ((0.0,), (1.0,)), ((0.0,), (0.5,), (1.0,)), ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
"""Positions: the ends of a line, with its middle, and of a square."""


def tone(root: int, layer: int, place: int, rate: int) -> np.ndarray:
    """(frames,): louder by layer, its markers at a third of the fundamental; phases far from those of other places."""
    t = np.arange(round(SECONDS * rate)) / rate
    phases = np.random.default_rng([root, layer]).uniform(0, 2 * np.pi, 3) + 2.4 * place
    parts = ((1, 0.3), (LAYER_MARK + layer, 0.1), (PLACE_MARK + place, 0.1))
    x = sum(a * np.sin(2 * np.pi * hz(root) * h * t + p) for (h, a), p in zip(parts, phases, strict=True))
    x = x * (0.25, 0.5, 1.0)[layer]
    attack = np.minimum(1.0, t / 0.01)
    return (x * attack).astype(np.float32)


def whole_loop(root: int, rate: int, *, start: int = 12000) -> Loop:
    """About half a second of whole periods, the count whose length is nearest to whole frames."""
    cycle = rate / hz(root)
    counts = np.arange(max(1, int(0.4 * rate / cycle)), int(0.6 * rate / cycle) + 2)
    n = counts[np.argmin(np.abs(counts * cycle - np.rint(counts * cycle)))]
    return Loop(start, start + round(n * cycle) - 1)


def make(
    folder: Path,
    *,
    positions: Sequence[tuple[float, ...]] = ((0.0,),),
    rate: int = 48000,
    bits: int = 24,
    looped: bool = True,
    name: str = "Flute-Bass",
    release: float = 0.3,
) -> SamplePack:
    """A pack of ROOTS x VELOCITIES x positions in `folder`, manifest and all."""
    zones = []
    areas = {(a.note.pitch, a.note.velocity): a for a in NoteGrid(ROOTS, VELOCITIES).zones()}
    for (k, position), root, (j, velocity) in itertools.product(enumerate(positions), ROOTS, enumerate(VELOCITIES)):
        audio, area = tone(root, j, k, rate), areas[root, velocity]
        loop = whole_loop(root, rate, start=rate // 4) if looped else None
        file = sample_file(name, Note(root, velocity), position=k, positions=len(positions))
        ranges = {"low_key": area.low_key, "high_key": area.high_key}
        ranges |= {"low_velocity": area.low_velocity, "high_velocity": area.high_velocity}
        done = write_wav(folder / file, audio, rate, bits=bits, root=root, loop=loop, title=name, **ranges)
        place = tuple(map(float, position))
        facts = {"frames": done.frames, "peak": done.peak, "sha256": done.sha256}
        zones.append(Zone(file, root, velocity, **ranges, **facts, position=place, loop=loop))
    places = tuple(tuple(map(float, p)) for p in positions)
    pack = SamplePack(name, f"{name} test", rate, bits, tuple(zones), release, places, "CC0-1.0", ("flute", "bass"), "A test.")
    pack.save(folder)
    return pack
