"""Codes, the 16-dimensional temporal embedding of a note, and mixtures of named sounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import UsageError

DIMS = 16
"""Values per code frame (Engel et al. 2017, section 2.1)."""

FRAME_RATE = 31.25
"""Code frames per second, Hz: one per 512 samples at 16 kHz, so 125 frames for 4 s."""


WEIGHTINGS = ("bilinear", "distance")
"""How four corners share a point between them."""


def frames_for(seconds: float) -> int:
    """Whole code frames that cover `seconds`."""
    return max(1, int(np.ceil(seconds * FRAME_RATE - 1e-9)))


@dataclass(frozen=True)
class Codes:
    """One note's codes. values: float32 (frames, 16) at FRAME_RATE."""

    values: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != DIMS or not len(self.values):
            raise ValueError(f"codes are (frames, {DIMS}), not {self.values.shape}")

    @property
    def seconds(self) -> float:
        """Length in s."""
        return len(self.values) / FRAME_RATE


@dataclass(frozen=True)
class Morph:
    """What is mixed, and how much of each. weights: by name, >= 0, sum 1; no name repeats."""

    weights: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        values = [w for _, w in self.weights]
        names = [n for n, _ in self.weights]
        if not values or min(values) < 0 or not abs(sum(values) - 1) <= 1e-6:  # `not`, so that NaN is refused
            raise UsageError(f"weights of a morph are not negative and sum to 1: {dict(self.weights)}")
        if len(set(names)) != len(names):
            raise UsageError(f"a morph names each sound once: {', '.join(names)}")

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Morph:
        """From a mapping name -> weight; sounds of weight 0 are kept, so that a plan names its ends."""
        return cls(tuple(weights.items()))

    @classmethod
    def between(cls, a: str, b: str, mix: float) -> Morph:
        """`mix` 0 is all `a`, 1 is all `b`. Raises UsageError outside 0..1."""
        if not 0 <= mix <= 1:
            raise UsageError(f"mix {mix} is out of range; 0 is all {a}, 1 is all {b}")
        if a == b:
            return cls(((a, 1.0),))
        return cls(((a, 1.0 - mix), (b, mix)))

    @classmethod
    def corners(cls, nw: str, ne: str, sw: str, se: str, x: float, y: float, weighting: str = "bilinear") -> Morph:
        """Weights at (x, y) in the unit square: x from west to east, y from north to south.

        By `weighting`, of WEIGHTINGS: bilinear, or 1 less the distance to each corner where that is positive, over their
        sum, as in NSynth Super. The second gives the middle of an edge to its ends alone, and falls faster from a corner.
        """
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise UsageError(f"position ({x}, {y}) is out of range; both lie in 0..1")
        if weighting not in WEIGHTINGS:
            raise UsageError(f"there is no weighting {weighting!r}; use {' or '.join(WEIGHTINGS)}")
        weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
        if weighting == "distance":
            near = [max(0.0, 1 - math.hypot(x - cx, y - cy)) for cy in (0, 1) for cx in (0, 1)]
            weights = [w / sum(near) for w in near]
        total: dict[str, float] = {}
        for name, w in zip((nw, ne, sw, se), weights, strict=True):
            total[name] = total.get(name, 0.0) + w
        return cls.of(total)

    @property
    def names(self) -> tuple[str, ...]:
        """The sounds, in order."""
        return tuple(n for n, _ in self.weights)
