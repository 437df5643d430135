"""Small packs for tests of playing: pure tones whose every frame can be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from nsynth_instrument.notes import NoteGrid, hz
from nsynth_instrument.pack import Loop, SamplePack, Zone


def tone(pitch: float, *, rate: int, seconds: float, level: float = 0.5, harmonics: Sequence[float] = (1.0,)) -> np.ndarray:
    """A cosine, so that the very first frame is loud and its time can be measured."""
    t = np.arange(int(seconds * rate)) / rate
    x = sum(a * np.cos(2 * np.pi * (h + 1) * hz(pitch) * t) for h, a in enumerate(harmonics))
    return (level * x).astype(np.float32)


def loop_of(pitch: float, *, rate: int, start: float, end: float) -> Loop:
    """A loop of whole periods, as near as frames allow, between two times in s."""
    period = rate / hz(pitch)
    first = round(start * rate)
    best = min(range(1, int((end - start) * rate / period)), key=lambda n: (abs(n * period - round(n * period)), -n))
    return Loop(first, first + round(best * period) - 1)


def make(
    folder: Path,
    *,
    pitches: Sequence[int] = tuple(range(36, 97)),
    velocities: Sequence[int] = (100,),
    positions: Sequence[tuple[float, ...]] = ((0.0,),),
    rate: int = 48000,
    seconds: float = 1.0,
    looped: bool = False,
    release: float = 0.05,
    name: str = "test",
    level: float = 0.5,
    shift: float = 0.0,
) -> Path:
    """A pack in `folder`. Morph position i sounds a pure tone at its own harmonic, i + 1; a layer's level is velocity / 127."""
    grid = NoteGrid(tuple(pitches), tuple(velocities))
    folder.mkdir(parents=True, exist_ok=True)
    zones = []
    for i, position in enumerate(positions):
        for area in grid.zones():
            note = area.note
            harmonics = [0.0] * i + [1.0]
            x = tone(note.pitch + shift, rate=rate, seconds=seconds, level=level * note.velocity / 127, harmonics=harmonics)
            if not looped:
                n = rate // 100
                x[-n:] *= np.linspace(1, 0, n, dtype=np.float32)
            file = f"{name}_{i}_{note.pitch:03d}_{note.velocity:03d}.wav"
            soundfile.write(folder / file, x, rate, subtype="FLOAT")
            loop = loop_of(note.pitch + shift, rate=rate, start=0.3 * seconds, end=0.8 * seconds) if looped else None
            zones.append(
                Zone(
                    file, note.pitch, note.velocity, area.low_key, area.high_key, area.low_velocity, area.high_velocity,
                    len(x), tuple(position), loop,
                )
            )  # fmt: skip
    SamplePack(name, name, rate, 32, tuple(zones), release, tuple(map(tuple, positions))).save(folder)
    return folder
