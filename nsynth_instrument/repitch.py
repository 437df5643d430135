"""Notes of a decoder that is not told the pitch, as the published WaveNet is not: the nearest known note, moved to its key.

Such codes say which pitch they are of, so those of two pitches are never mixed into one in between. What is decoded of the
nearest known key is played faster or slower, and its codes run as much slower or faster, so that time stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .bank import Instrument, InstrumentBank

Floats = npt.NDArray[np.float32]

APART = 100
"""What a semitone between two sounds' nearest notes costs in semitones of moving them: sounds are to agree first."""


def as_recorded(bank: InstrumentBank) -> InstrumentBank:
    """The same instruments, of which the nearest known pitch alone answers for a note."""
    return InstrumentBank.of(replace(i, between=False) for i in bank)


def shift(sounds: Sequence[Instrument], pitch: int) -> int:
    """Semitones from the key at which the sounds are known best up to `pitch`: one that all of them have, if there is any.

    Of two keys equally far the lower is taken, since a note moved up keeps its attack.
    """
    known = [np.unique(i.pitches).astype(int) for i in sounds]

    def cost(key: int) -> tuple[int, int]:
        return abs(key - pitch) + APART * sum(int(np.abs(k - key).min()) for k in known), key

    return pitch - min((int(k) for k in np.unique(np.concatenate(known))), key=cost)


def factor(semitones: float) -> float:
    """By which a sound is played faster to be that much higher."""
    return float(2 ** (semitones / 12))


def slowed(codes: Floats, semitones: int) -> Floats:
    """Codes (frames, 16) run slower by what a sound is then played faster: the same codes where it is not moved."""
    if not semitones:
        return codes
    frames = max(1, round(len(codes) * factor(semitones)))
    at = np.linspace(0, len(codes) - 1, frames)
    low = np.minimum(at.astype(int), max(0, len(codes) - 2))
    part = (at - low).astype(np.float32)[:, None]
    return np.asarray(codes[low] * (1 - part) + codes[np.minimum(low + 1, len(codes) - 1)] * part, dtype=np.float32)
