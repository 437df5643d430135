"""Codes, the 16-dimensional temporal embedding of a note, and mixtures of named sounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import UsageError

DIMS = 16
"""Values per code frame (Engel et al. 2017, section 2.1)."""

FRAME_RATE = 31.25
"""Code frames per second, Hz: one per 512 samples at 16 kHz."""

FRAMES = 125
"""Code frames of NSynth's notes, 4 s."""

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


Course = tuple[float, ...]
"""A number that moves: its values at even times from a note's onset to its release, straight between them; one if it stays."""

_BENDS = 129
"""Most points of a course."""


@dataclass(frozen=True)
class Morph:
    """What is mixed, and how much of each.

    weights: by name, >= 0, sum 1, at a note's onset; no name repeats. course: what they become, rows of weights in the same
    order at even times after the onset, the last at the release and from then on; none if they stay as they are.
    """

    weights: tuple[tuple[str, float], ...]
    course: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if len(self.course) >= _BENDS:
            raise UsageError(f"a morph moves through at most {_BENDS} points, not {1 + len(self.course)}")
        for row in ([w for _, w in self.weights], *self.course):
            if len(row) != len(names) or not row or min(row) < 0 or not abs(sum(row) - 1) <= 1e-6:  # `not`, for NaN
                told = dict(zip(names, row, strict=False))
                raise UsageError(f"weights of a morph are not negative and sum to 1: {told}")
        if len(set(names)) != len(names):
            raise UsageError(f"a morph names each sound once: {', '.join(names)}")

    @classmethod
    def of(cls, weights: Mapping[str, float | Sequence[float]]) -> Morph:
        """From a mapping name -> weight, or its course; sounds of weight 0 are kept, so that a plan names its ends.

        Raises UsageError when two courses have different numbers of points.
        """
        courses = {name: (float(w),) if isinstance(w, int | float) else tuple(map(float, w)) for name, w in weights.items()}
        count = max(map(len, courses.values()), default=1)
        if any(len(c) not in (1, count) for c in courses.values()):
            raise UsageError("the weights of a morph that move all have the same number of points")
        rows = list(zip(*(c * count if len(c) == 1 else c for c in courses.values()), strict=True))
        still = all(row == rows[0] for row in rows)
        return cls(tuple(zip(courses, rows[0] if rows else (), strict=True)), () if still else tuple(rows[1:]))

    @classmethod
    def between(cls, a: str, b: str, mix: float | Course) -> Morph:
        """`mix` 0 is all `a`, 1 is all `b`; a course goes from one to the other in a note. Raises UsageError outside 0..1."""
        course = _course(mix)
        if not all(0 <= m <= 1 for m in course):
            raise UsageError(f"mix {_text(course)} is out of range; use 0 (all {a}) to 1 (all {b})")
        if a == b:
            return cls(((a, 1.0),))
        return cls.of({a: [1.0 - m for m in course], b: course})

    @classmethod
    def corners(
        cls, nw: str, ne: str, sw: str, se: str, x: float | Course, y: float | Course, weighting: str = "bilinear"
    ) -> Morph:
        """Weights at (x, y) in the unit square: x from west to east, y from north to south; both may move.

        By `weighting`, of WEIGHTINGS: bilinear, or 1 less the distance to each corner where that is positive, over their
        sum, as in NSynth Super. The second gives the middle of an edge to its ends alone, and falls faster from a corner.
        """
        xs, ys = _course(x), _course(y)
        if not all(0 <= v <= 1 for v in (*xs, *ys)):
            raise UsageError(f"position ({_text(xs)}, {_text(ys)}) is out of range; both lie in 0..1")
        if weighting not in WEIGHTINGS:
            raise UsageError(f"there is no weighting {weighting!r}; use {' or '.join(WEIGHTINGS)}")
        east, south = _together(xs, ys, curved=weighting != "bilinear" or (len(xs) > 1 and len(ys) > 1))
        weights = [(1 - east) * (1 - south), east * (1 - south), (1 - east) * south, east * south]
        if weighting == "distance":
            near = [np.maximum(0, 1 - np.hypot(east - cx, south - cy)) for cy in (0, 1) for cx in (0, 1)]
            weights = [w / np.sum(near, axis=0) for w in near]
        total: dict[str, npt.NDArray[np.float64]] = {}
        for name, w in zip((nw, ne, sw, se), weights, strict=True):
            total[name] = total.get(name, 0.0) + w
        return cls.of({name: w.tolist() for name, w in total.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """The sounds, in order."""
        return tuple(n for n, _ in self.weights)

    @property
    def courses(self) -> dict[str, Course]:
        """Each sound's weights from onset to release: one where nothing moves."""
        rows = ([w for _, w in self.weights], *self.course)
        return dict(zip(self.names, zip(*rows, strict=True), strict=True))

    def at(self, progress: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Weights (names, times) at times from 0 (onset) to 1 (release); beyond they stay."""
        points = np.linspace(0, 1, 1 + len(self.course))
        return np.array([np.interp(progress, points, c) for c in self.courses.values()], np.float32)

    def renamed(self, name: Callable[[str], str]) -> Morph:
        """The same with other names; sounds that get one name add up."""
        total: dict[str, npt.NDArray[np.float64]] = {}
        for old, course in self.courses.items():
            total[name(old)] = total.get(name(old), 0.0) + np.array(course)
        return Morph.of({n: w.tolist() for n, w in total.items()})


def _course(value: float | Course) -> Course:
    return value if isinstance(value, tuple) else (value,)


def _text(course: Course) -> str:
    return ":".join(f"{v:g}" for v in course)


def _together(x: Course, y: Course, *, curved: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two courses at the same times: at all bends of either, and between them where what is made of both is `curved`."""
    spans = math.lcm(max(1, len(x) - 1), max(1, len(y) - 1))
    if curved and (len(x) > 1 or len(y) > 1):
        spans *= max(1, min(16, (_BENDS - 1) // spans))
    at = np.linspace(0, 1, spans + 1)
    return np.interp(at, np.linspace(0, 1, len(x)), x), np.interp(at, np.linspace(0, 1, len(y)), y)
