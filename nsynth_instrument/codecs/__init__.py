"""Codecs: audio <-> codes over a network that some runtime runs.

A codec knows the sound (rates, features, synthesis); its network knows only arrays. The codecs are siblings with one shape,
`Codec`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ..notes import Note

if TYPE_CHECKING:
    from ..dsp.detail import Means

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Kept:
    """A known note's detail, for another note to have some of.

    detail: of its instrument, or only what is expected of the other note's; note: which one of those there; weight: how much of
    it, one number or (frames,), four a code frame; at: which of the known note's frames is heard in each frame, (frames,), or
    None where both run alike; away: semitones by which the other note lies higher.
    """

    detail: Mapping[str, npt.NDArray[np.generic]] | Means
    note: int
    weight: float | Floats = 1.0
    at: Floats | None = None
    away: float = 0.0


@dataclass(frozen=True, eq=False)
class Mixed:
    """What a codec makes a note of. codes (frames, 16); detail: see `Kept`; level: dB (4 frames,), or None for as it comes."""

    codes: Floats
    detail: Sequence[Kept]
    level: Floats | None


Place = tuple[int, int]
"""Of a position: its step along both axes."""


@dataclass(frozen=True, eq=False)
class Among:
    """Where a note stands among those that it fades into, the positions of a morph at one key and velocity.

    place: its step along both axes, from 0; ends: what the notes at the morph's ends, two or four, are made of, by place;
    between: and at some places between them.
    """

    place: Place
    ends: Mapping[Place, Mixed]
    between: Mapping[Place, Mixed]


def hiss(note: Note, place: Place, seed: int) -> np.random.Generator:
    """A position's own stream: noise that positions shared would be louder between them."""
    return note.rng(seed, part=1 + place[0] + 128 * place[1])


class Codec(Protocol):
    """Audio at `rate` Hz <-> codes (frames, 16) at 31.25 Hz.

    name: of the bundle; runtime: what really runs it, for people ("kernel", "onnx (CPU)"); rate: Hz;
    batch: how many notes at once suit it; pitched: whether the decoder is told the pitch, else the codes carry it;
    frames: the only number of code frames that a note can have, None where any will do.
    """

    name: str
    runtime: str
    rate: int
    batch: int
    pitched: bool
    frames: int | None

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """Codes (frames, 16) of each note's mono audio (samples,) at `rate`; the notes may differ in length."""
        ...

    def refine(self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]) -> list[Floats]:
        """Codes near those of `encode` of which the decoder says more nearly what these notes are; up to five seconds a note."""
        ...

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """What the decoder would lose of these notes, as arrays for a bank; None if the codec keeps none."""
        ...

    def transposed(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[Floats, Kept | None]]:
        """Codes of known notes as they would be at other keys and velocities of the same sounds, each with what the decoder is
        expected to lose of those; kept: what is kept of each known note."""
        ...

    def decode(
        self,
        codes: Sequence[Floats],
        notes: Sequence[Note],
        *,
        seed: int = 0,
        temperature: float = 1.0,
        detail: Sequence[Sequence[Kept]] | None = None,
        level: Sequence[Floats | None] | None = None,
        among: Sequence[Among] | None = None,
    ) -> list[Floats]:
        """Audio (samples,) of each note at its pitch and velocity.

        Noise is drawn from `note.rng(seed)` alone, so a note does not depend on its batch. detail: for each note
        what is added of what banks keep; level: how loud it is to be, as `levels` has it, None for as it comes; among: for
        each note those that it fades into, so that powers add between them.
        """
        ...

    def levels(
        self, codes: Sequence[Floats], notes: Sequence[Note], *, detail: Sequence[Sequence[Kept]] | None = None
    ) -> list[Floats] | None:
        """How loud each note is over time, in dB, four values a code frame; None if the codec cannot say it unplayed."""
        ...


def known(codec: Codec, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
    """The codes that a user's notes are known by: the encoder's, refined."""
    return codec.refine(audio, notes, codec.encode(audio, notes))
