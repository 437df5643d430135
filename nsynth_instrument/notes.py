"""Notes, grids of notes, and the zones by which a grid covers the whole keyboard."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UsageError

KEYS = 128
"""MIDI keys 0..127."""

VELOCITIES = (25, 50, 75, 100, 127)
"""The velocities of the NSynth dataset (Engel et al. 2017, section 3.1)."""

_LETTERS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def hz(pitch: float) -> float:
    """Frequency in Hz of a MIDI pitch in 12-tone equal temperament, A4 = 69 = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def midi(frequency: float) -> float:
    """MIDI pitch, with fraction, of a frequency in Hz (> 0)."""
    return float(69.0 + 12.0 * np.log2(frequency / 440.0))


def key_name(pitch: int) -> str:
    """Scientific name of a key with middle C = 60 = C4: 61 -> 'C#4', 0 -> 'C-1'."""
    return f"{_LETTERS[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True, order=True)
class Note:
    """One key struck once.

    pitch: MIDI key 0..127 (60 = C4); velocity: 1..127.
    """

    pitch: int
    velocity: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.pitch < KEYS:
            raise UsageError(f"pitch {self.pitch} is not a MIDI key; keys are 0..127")
        if not 1 <= self.velocity < KEYS:
            raise UsageError(f"velocity {self.velocity} is not a MIDI velocity; use 1..127")

    @property
    def hz(self) -> float:
        """Fundamental frequency in Hz."""
        return hz(self.pitch)

    def rng(self, seed: int, *, part: int = 0) -> np.random.Generator:
        """The note's own random stream: a function of (seed, pitch, velocity, part) and nothing else.

        A note therefore sounds the same whatever batch, order, worker or engine decodes it.
        """
        return np.random.Generator(np.random.Philox([seed & 0xFFFFFFFF, part << 16 | self.pitch << 8 | self.velocity]))


@dataclass(frozen=True)
class Area:
    """The keys and velocities for which one note of a grid answers; both ranges inclusive."""

    note: Note
    low_key: int
    high_key: int
    low_velocity: int
    high_velocity: int


@dataclass(frozen=True)
class NoteGrid:
    """Every pitch with every velocity; both strictly ascending."""

    pitches: tuple[int, ...]
    velocities: tuple[int, ...] = VELOCITIES

    def __post_init__(self) -> None:
        for name, values, low in (("pitches", self.pitches, 0), ("velocities", self.velocities, 1)):
            if not values:
                raise UsageError(f"a grid needs at least one of its {name}")
            if list(values) != sorted(set(values)):
                raise UsageError(f"{name} must ascend without repeats: {list(values)}")
            if values[0] < low or values[-1] > 127:
                raise UsageError(f"{name} must lie in {low}..127: {list(values)}")

    @classmethod
    def parse(cls, text: str, velocities: Sequence[int] = VELOCITIES) -> NoteGrid:
        """Read `keys` (21..108), `full` (0..127), `60`, `21-108` or `21-108/3` (every third).

        Raises UsageError for anything else, an empty range, or numbers that are not MIDI keys.
        """
        named = {"keys": "21-108", "full": "0-127"}
        m = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3})(?:/(\d{1,3}))?)?", named.get(text, text))
        if not m:
            raise UsageError(f"grid {text!r} is not one of: keys, full, 60, 21-108, 21-108/3")
        low = int(m[1])
        high = int(m[2]) if m[2] else low
        step = int(m[3]) if m[3] else 1
        if step < 1 or low > high or high > 127:
            raise UsageError(f"grid {text!r} is impossible: LOW-HIGH/STEP with 0 <= LOW <= HIGH <= 127, STEP >= 1")
        return cls(tuple(range(low, high + 1, step)), tuple(sorted(set(velocities))))

    def __len__(self) -> int:
        return len(self.pitches) * len(self.velocities)

    def __iter__(self) -> Iterator[Note]:
        for p in self.pitches:
            for v in self.velocities:
                yield Note(p, v)

    def zones(self) -> tuple[Area, ...]:
        """Areas that tile 128 keys x velocities 1..127 with no gap and no overlap.

        Each key goes to the nearest pitch, each velocity to the nearest layer; a tie goes to the
        lower one, since a sample moved up keeps its attack better than one moved down.
        """
        keys = _ranges(self.pitches, 0, 127)
        layers = _ranges(self.velocities, 1, 127)
        return tuple(
            Area(Note(p, v), *keys[i], *layers[j])
            for i, p in enumerate(self.pitches)
            for j, v in enumerate(self.velocities)
        )


def _ranges(centres: tuple[int, ...], low: int, high: int) -> list[tuple[int, int]]:
    """Inclusive ranges around ascending centres that together are low..high."""
    tops = [(a + b) // 2 for a, b in itertools.pairwise(centres)] + [high]
    bottoms = [low] + [t + 1 for t in tops[:-1]]
    return list(zip(bottoms, tops, strict=True))


FULL = NoteGrid(tuple(range(128)))
KEYBOARD = NoteGrid(tuple(range(21, 109)))
