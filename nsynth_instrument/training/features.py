"""Features of a whole dataset, analysed once and kept beside it, one folder per instrument.

Kept in 8 bits: levels and noise in half decibels, offsets companded by a square root (fine near the harmonic,
where the ear is), only slots that exist. About 100 kB a note.
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
from ..dataset.nsynth import Dataset
from ..dsp.analysis import analyse
from ..dsp.partials import ATTACK, BANDS, HOP, QUIETEST, RATE, SILENCE, SLOTS, Partials, slots_for
from ..errors import AudioError, DataError
from ..notes import hz
from ..progress import Passed
from .kept import kept, nobody, room

VERSION = 4
PARTS = ("level", "offset", "noise", "deviation", "attack")
FRAMES = 500
"""Of a 4 s note."""

_INDEX = np.dtype([("pitch", "i2"), ("velocity", "i2"), ("slots", "i2"), ("f0", "f4"), ("peak", "f4"), ("start", "i8")])


def to_bytes(note: Partials) -> dict[str, npt.NDArray[np.generic]]:
    """The note in 8 bits; level and offset (frames, slots) with only the slots below 20 kHz."""
    n = slots_for(note.f0)
    return {
        "level": np.rint((note.level[:, :n] - SILENCE) * 2).clip(0, 255).astype(np.uint8),
        "offset": np.rint(np.sign(note.offset[:, :n]) * np.sqrt(2 * np.abs(note.offset[:, :n])) * 127).astype(np.int8),
        "noise": np.rint((note.noise - QUIETEST) * 1.5).clip(0, 255).astype(np.uint8),
        "deviation": note.deviation.astype(np.float16),
        "attack": np.rint((note.attack if note.attack is not None else np.zeros(ATTACK)) * 2).astype(np.int8),
    }


@dataclass(frozen=True, eq=False)
class Analysed:
    """One instrument's notes. index: _INDEX (notes,), sorted by pitch and velocity."""

    name: str
    folder: Path
    index: npt.NDArray[Any]
    about: Mapping[str, Any]

    @cached_property
    def _kept(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of `to_bytes`, all notes one after another, mapped."""
        return {k: np.asanyarray(np.load(self.folder / f"{k}.npy", mmap_mode="r")) for k in PARTS}

    def note(self, i: int, first: int = 0, frames: int = FRAMES) -> Partials:
        """Note `i`, its `frames` frames from `first`."""
        row = self.index[i]
        n, start = int(row["slots"]), int(row["start"])
        level = np.full((frames, SLOTS), SILENCE, np.float32)
        offset = np.zeros((frames, SLOTS), np.float32)
        here = slice(start + first * n, start + (first + frames) * n)
        level[:, :n] = self._kept["level"][here].reshape(frames, n) * np.float32(0.5) + np.float32(SILENCE)
        root = self._kept["offset"][here].reshape(frames, n) * np.float32(1 / 127)
        offset[:, :n] = np.sign(root) * root * root / 2
        noise = np.asarray(self._kept["noise"][i, first : first + frames] / 1.5 + QUIETEST, dtype=np.float32)
        deviation = self._kept["deviation"][i, first : first + frames].astype(np.float32)
        attack = None if first else self._kept["attack"][i].astype(np.float32) / 2
        return Partials(float(row["f0"]), level, offset, noise, deviation, attack)


def load(root: Path) -> list[Analysed]:
    """All instruments analysed so far under a features folder, by name."""
    there = kept(root, version=VERSION)
    return [Analysed(name, root / name, np.load(root / name / "index.npy"), about) for name, about in there.items()]


def build(
    notes: Mapping[str, Sequence[Mapping[str, Any]]],
    root: Path,
    *,
    workers: int | None = None,
    tell: Callable[[str], object] = nobody,
) -> Iterator[tuple[str, int]]:
    """Analyse instruments that are not in `root` yet; yields each one's name and number of notes as it is done.

    notes: by instrument, rows as `rows` has them. Raises NsynthError where the disk has no room for them.
    """
    there = kept(root, version=VERSION)
    todo = [(name, list(rows), root / name) for name, rows in notes.items() if name not in there]
    room(root, [note_bytes(row["pitch"]) for _, rows, _ in todo for row in rows], tell)
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        yield from pool.map(_instrument, todo)


def note_bytes(pitch: int) -> int:
    """What a note takes that is kept, by its key: a level and an offset in each frame for each of its slots, and the rest."""
    return FRAMES * (2 * slots_for(hz(pitch)) + BANDS + 2) + ATTACK + _INDEX.itemsize


def _instrument(job: tuple[str, list[Mapping[str, Any]], Path]) -> tuple[str, int]:
    name, rows, folder = job
    rows = sorted(rows, key=lambda r: (r["pitch"], r["velocity"]))
    index = np.zeros(len(rows), _INDEX)
    parts: dict[str, list[npt.NDArray[Any]]] = {k: [] for k in PARTS}
    start = kept = 0
    for row in rows:
        audio = note_sound(row, RATE)
        if audio is None:
            continue
        note = analyse(sound.fit(audio, FRAMES * HOP), row["pitch"])
        peak = float(note.level.max())
        if peak < -70:  # nothing but noise or silence at this key
            continue
        n = slots_for(note.f0)
        index[kept] = (row["pitch"], row["velocity"], n, note.f0, peak, start)
        for k, v in to_bytes(note).items():
            parts[k].append(v.ravel() if k in ("level", "offset") else v)
        start += FRAMES * n
        kept += 1
    if not kept:
        return name, 0
    folder.mkdir(parents=True, exist_ok=True)
    for k, values in parts.items():
        array = np.concatenate(values) if k in ("level", "offset") else np.stack(values)
        with sound.whole(folder / f"{k}.npy") as part, part.open("wb") as f:
            np.save(f, array)
    with sound.whole(folder / "index.npy") as part, part.open("wb") as f:
        np.save(f, index[:kept])
    about = {k: rows[0][k] for k in rows[0] if k not in NOTE} | {"version": VERSION}
    with sound.whole(folder / "about.json") as part:
        part.write_text(json.dumps(about), "utf-8")
    return name, kept


def rows(data: Path, *, skip_damaged: bool = False, passed: Passed | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows for `build` of a set in the NSynth format, each with its split, by instrument: what to load, and what is known of it.

    A damaged note raises DataError, or is left out, now or when it is read. Raises DataError also for a set without notes.
    passed: see `Dataset.open`.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for e in Dataset.open(data, skip_damaged=skip_damaged, passed=passed):
        found.setdefault(e.instrument_str, []).append(
            {
                "load": e.load,
                "rate": e.sample_rate,
                "skip": skip_damaged,
                "path": e.path,
                "pitch": e.pitch,
                "velocity": e.velocity,
                "qualities": e.qualities,
                "split": e.split,
                "family": e.instrument_family_str,
                "source": e.instrument_source_str,
                **{k: e.extra[k] for k in ("preset_name", "soundfont", "bank", "program") if k in e.extra},
            }
        )
    if not found:
        raise DataError(f"{data} holds no notes; make a dataset with nsynth-instrument dataset build")
    return found


def note_sound(row: Mapping[str, Any], rate: int) -> sound.Audio | None:
    """The sound of a row at `rate` Hz; None for a damaged one that shall be left out."""
    try:
        return sound.resample(row["load"](), row["rate"], rate)
    except (AudioError, DataError):
        if row["skip"]:
            return None
        raise


NOTE = ("load", "rate", "skip", "path", "pitch", "velocity", "qualities")
"""What in a row is one note's own; the rest is its instrument's."""
