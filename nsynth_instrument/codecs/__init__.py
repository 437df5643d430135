"""Codecs: audio <-> codes over a network that some runtime runs.

A codec knows the sound (rates, features, synthesis); a `Network` knows only arrays. The three codecs are
siblings with one shape, `Codec`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..notes import Note

Floats = npt.NDArray[np.float32]

Kept = tuple[Mapping[str, npt.NDArray[np.generic]], int, float]
"""An instrument's detail, which of its notes, and how much of it."""


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

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """What the decoder would lose of these notes, as arrays for a bank; None if the codec keeps none."""
        ...

    def decode(
        self,
        codes: Sequence[Floats],
        notes: Sequence[Note],
        *,
        seed: int = 0,
        temperature: float = 1.0,
        detail: Sequence[Sequence[Kept]] | None = None,
    ) -> list[Floats]:
        """Audio (samples,) of each note at its pitch and velocity.

        Noise is drawn from `note.rng(seed)` alone, so a note does not depend on its batch. detail: for each note
        what is added of what banks keep.
        """
        ...
