"""What an instrument's details say of a known note: how well its sound is known, and what another key has of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..codes import DIMS
from ..dsp import detail as details
from ..dsp import fading, recalling
from ..errors import DataError
from . import Kept
from .transposition import SPANS, STEPS, woven

Floats = npt.NDArray[np.float32]

FAMILIAR, GAIN, ADDED = "familiar", "gain", "added"
"""Where details say how well a note is known, (notes,); by how much louder, dB (notes,); and what its codes have beside those as
which it is known: see `added`."""
GAINS = range(-15, 16, 3)
"""dB by which a note is heard louder, to find that."""
RECALLED = 24
"""Details that are at hand: those of a key of four sounds, each between two keys and three velocities; half a megabyte each."""


def familiar(kept: Kept) -> float:
    """How far what is said of a known note's other keys counts: see `transposition.familiar`. Raises DataError."""
    return _within(_of_note(kept, FAMILIAR, ()), 0.0, 1.0)


def gain(kept: Kept | None) -> float:
    """By how many dB a note is known louder than it is. Raises DataError."""
    return _within(_of_note(kept, GAIN, ()), min(GAINS), max(GAINS))


def added(kept: Kept | None, frames: int) -> Floats:
    """What a known note's codes have beside those as which it is known, (frames, 16). Raises DataError."""
    found = _of_note(kept, ADDED, (len(SPANS), DIMS))
    return np.zeros((frames, DIMS), np.float32) if found is None else woven(frames) @ (found / np.float32(STEPS))


def detail(kept: Kept, frames: int) -> details.Detail:
    """What another note has of it, at `frames` frames; of what is told of its own colour where the sound is known, none. Raises
    DataError."""
    if isinstance(kept.detail, details.Means):
        return kept.detail.over(frames)
    told = familiar(kept) * fading.share(fading.TRANSPOSED[0], kept.away)
    return _recalled(_Same(kept.detail), kept.note, frames, kept.away, told)


def _within(found: Floats | None, least: float, most: float) -> float:
    """One number as it was found, 0 for none or what is no number, between two others."""
    x = 0.0 if found is None else float(found)
    return min(max(x, least), most) if math.isfinite(x) else 0.0


def _of_note(kept: Kept | None, name: str, shape: tuple[int, ...]) -> Floats | None:
    """What details say of a known note under a name, None where they do not. Raises DataError."""
    if kept is None or isinstance(kept.detail, details.Means) or name not in kept.detail:
        return None
    try:
        return np.asarray(kept.detail[name][kept.note], dtype=np.float32).reshape(shape)
    except (IndexError, TypeError, ValueError) as e:
        raise DataError(f"the bank's details are damaged ({e}); install or export the model again") from e


@dataclass(frozen=True, eq=False)
class _Same:
    """An instrument's details, the same as themselves alone."""

    kept: Mapping[str, npt.NDArray[np.generic]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.kept is self.kept

    def __hash__(self) -> int:
        return id(self.kept)


@lru_cache(RECALLED)
def _recalled(same: _Same, note: int, frames: int, away: float, told: float) -> details.Detail:
    """See `recalling.recall`: five velocities of a key ask seven times for what is known of three."""
    return recalling.recall(same.kept, note, frames, away, told)
