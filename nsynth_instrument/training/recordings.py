"""Recordings of a whole dataset at a network's rate, resampled once and kept, one folder per instrument.

About 130 kB a note of 4 s at 16 kHz; the files are mapped, not read, so that a training run starts at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import audio as sound
from .features import NOTE, note_sound
from .kept import kept, nobody, room

VERSION = 1
SECONDS = 4.0
"""Of each note that is kept; a shorter one ends in silence."""

_INDEX = np.dtype([("pitch", "i2"), ("velocity", "i2")])


@dataclass(frozen=True, eq=False)
class Recorded:
    """One instrument's notes. index: pitch and velocity (notes,); about: split, family and more."""

    name: str
    folder: Path
    index: npt.NDArray[Any]
    about: Mapping[str, Any]

    @cached_property
    def audio(self) -> npt.NDArray[np.int16]:
        """Int16 (notes, samples), full scale 32767."""
        return np.asanyarray(np.load(self.folder / "audio.npy", mmap_mode="r"))

    @cached_property
    def level(self) -> npt.NDArray[np.float32]:
        """RMS (notes, frames) of full scale, one per code frame."""
        return np.asarray(np.load(self.folder / "level.npy"))

    def piece(self, note: int, start: int, samples: int) -> npt.NDArray[np.float32]:
        """Audio (samples,) of a note from sample `start`, silence after its end."""
        return sound.fit(self.audio[note, start : start + samples].astype(np.float32) / np.float32(32767), samples)


def load(root: Path) -> list[Recorded]:
    """All instruments kept so far under a folder, by name."""
    there = kept(root, version=VERSION)
    return [Recorded(name, root / name, np.load(root / name / "index.npy"), about) for name, about in there.items()]


def build(
    notes: Mapping[str, Sequence[Mapping[str, Any]]],
    root: Path,
    *,
    rate: int,
    hop: int,
    workers: int | None = None,
    tell: Callable[[str], object] = nobody,
) -> Iterator[tuple[str, int]]:
    """Keep the instruments that are not in `root` yet, at `rate` Hz; yields each one's name and number of notes as it is done.

    notes: by instrument, rows as `features.rows` has them. Raises NsynthError where the disk has no room for them.
    """
    there = kept(root, version=VERSION, rate=rate, hop=hop)
    todo = [(n, list(notes[n]), root / n, rate, hop) for n in notes if n not in there]
    room(root, [note_bytes(rate, hop)] * sum(len(rows) for _, rows, *_ in todo), tell)
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        yield from pool.map(_instrument, todo)


def note_bytes(rate: int, hop: int) -> int:
    """What a note takes that is kept at `rate` Hz."""
    frames = int(SECONDS * rate) // hop
    return 2 * hop * frames + 4 * frames + _INDEX.itemsize


def _instrument(job: tuple[str, list[Mapping[str, Any]], Path, int, int]) -> tuple[str, int]:
    name, rows, folder, rate, hop = job
    rows = sorted(rows, key=lambda r: (r["pitch"], r["velocity"]))
    samples = int(SECONDS * rate) // hop * hop
    audio = np.zeros((len(rows), samples), np.int16)
    index = np.zeros(len(rows), _INDEX)
    kept = 0
    for row in rows:
        heard = note_sound(row, rate)
        if heard is None:
            continue
        note = np.clip(sound.fit(heard, samples), -1, 1)
        if np.abs(note).max() < 1e-3:
            continue
        audio[kept], index[kept] = np.rint(note * 32767), (row["pitch"], row["velocity"])
        kept += 1
    if not kept:
        return name, 0
    blocks = audio[:kept].astype(np.float32).reshape(kept, -1, hop) / 32767
    folder.mkdir(parents=True, exist_ok=True)
    for part_name, array in (("audio", audio[:kept]), ("index", index[:kept]), ("level", np.sqrt((blocks**2).mean(axis=2)))):
        with sound.whole(folder / f"{part_name}.npy") as part, part.open("wb") as f:
            np.save(f, array)
    known = {k: rows[0][k] for k in rows[0] if k not in NOTE}
    about = known | {"version": VERSION, "rate": rate, "hop": hop}
    with sound.whole(folder / "about.json") as part:
        part.write_text(json.dumps(about), "utf-8")
    return name, kept
