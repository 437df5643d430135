"""The notes that a model is judged by: drawn with a seed, spread over instruments, and brought into tune."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..audio import Audio, fit, resample
from ..bank import Instrument
from ..codecs import Codec, known
from ..dataset.example import Example
from ..dsp.pitch import cents_off
from ..errors import AudioError, DataError
from ..notes import Note

SECONDS = 4.0
"""Of a note that are heard; NSynth's length, released after three."""
HELD_OUT_KEYS = (46, 66, 86)
"""Keys of no training note, by the recipes of `training`."""
PROGRAMS = (
    *(0, 4, 8, 11, 12, 19, 21, 24, 30, 33, 38, 40, 42, 45, 48, 52, 56, 57),
    *(61, 65, 68, 71, 73, 75, 81, 88, 104, 108),
)  # fmt: skip
"""General MIDI programs, of bank 0, that the sketch heard whose figures the bars are from, and the keys:"""
KEYS = range(28, 95)


@dataclass(frozen=True, eq=False)
class Recording:
    """A note of a set as the judges hear it. audio: (SECONDS * rate,) at the codec's rate, in 12-TET where it has a pitch;
    cents: by which it was out of tune, NaN without a clear pitch.
    """

    example: Example
    note: Note
    audio: Audio = field(repr=False)
    cents: float

    @property
    def pitched(self) -> bool:
        """Whether its key's pitch stands out of it."""
        return bool(np.isfinite(self.cents))


def hear(example: Example, rate: int) -> Recording:
    """A note of a set at `rate` Hz.

    It is brought to 12-TET, where models play: a distance would else count the recording's tuning as their fault.
    """
    sound = example.audio()
    off = cents_off(sound, example.sample_rate, example.pitch)
    there = rate * 2 ** (off / 1200) if np.isfinite(off) else rate
    audio = fit(resample(sound, example.sample_rate, there), round(SECONDS * rate))
    return Recording(example, Note(example.pitch, max(1, example.velocity)), audio, off)


def draw(
    notes: Iterable[Example],
    count: int,
    seed: int,
    *,
    also: Callable[[Example], bool] | None = None,
    usable: Callable[[Example], bool] = lambda _: True,
) -> list[Example]:
    """`count` notes, or all if there are fewer: one of each instrument in turn, in an order that `seed` decides.

    also: what a note must fulfil beside; usable: the same, asked only of notes that would be drawn.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[Example]] = {}
    for n in sorted(notes, key=lambda n: n.note_str):
        if also is None or also(n):
            groups.setdefault(n.instrument_str, []).append(n)
    names = sorted(groups)
    order = [names[i] for i in rng.permutation(len(names))]
    piles = [[groups[n][i] for i in rng.permutation(len(groups[n]))] for n in order]
    turns = [pile[turn] for turn in range(max(map(len, piles), default=0)) for pile in piles if turn < len(pile)]
    return list(itertools.islice(filter(usable, turns), count))


def readable(e: Example, tell: Callable[[str], object]) -> bool:
    """Whether a note's sound can be read; `tell` is given the reason if not."""
    try:
        e.audio()
    except (AudioError, DataError) as fault:
        tell(f"left out: {fault}")
        return False
    return True


def held_out(e: Example) -> bool:
    """Whether a note's instrument was kept from training; a set without splits is held out whole."""
    return e.split != "train"


def new_key(e: Example) -> bool:
    """Whether a note's key was kept from training, and its instrument was not."""
    return not held_out(e) and e.pitch in HELD_OUT_KEYS


def tells_programs(data: Iterable[Example]) -> bool:
    """Whether a set says which General MIDI programs its notes are."""
    return any("program" in e.extra for e in data)


def of_sketch(e: Example) -> bool:
    """Whether a note is of a program and at a key that the sketch heard."""
    return e.extra.get("program") in PROGRAMS and e.extra.get("bank", 0) == 0 and e.pitch in KEYS


def clear(e: Example) -> bool:
    """Whether its key's pitch stands out of a note, which is read for it."""
    return bool(np.isfinite(cents_off(e.audio(), e.sample_rate, e.pitch)))


def instrument_of(codec: Codec, heard: Sequence[Recording], name: str = "heard") -> Instrument:
    """Recordings of one instrument as a bank would keep them, codes and details."""
    audio, notes = [r.audio for r in heard], [r.note for r in heard]
    codes = known(codec, audio, notes)
    example = heard[0].example
    return Instrument(
        name, example.instrument_family_str, example.instrument_source_str, name, "",
        np.array([n.pitch for n in notes], np.int16), np.array([n.velocity for n in notes], np.int16),
        np.stack(codes), codec.detail(audio, notes, codes),
    )  # fmt: skip
