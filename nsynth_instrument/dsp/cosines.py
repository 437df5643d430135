"""Features of a note in cosine bases over three spans (onset, sustain, release), the lowest few of each, eight bits a value.

Fine in the onset, up to some 20 Hz after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from .partials import Floats

Bytes = npt.NDArray[np.int8]

ONSET = 32
"""Frames of the first span: 256 ms."""
RELEASE = 125
"""Frames of the last span: 1 s."""
_SEAM = 4
"""Frames over which spans of which other shares are heard meet."""


def spans(frames: int) -> tuple[slice, slice, slice]:
    """Onset, sustain and release of a note of that many frames; its release is its last second."""
    off = max(ONSET + 1, frames - RELEASE)
    return slice(0, ONSET), slice(ONSET, off), slice(off, frames)


@dataclass(frozen=True, eq=False)
class Cosines:
    """How a feature (frames, n) is kept. counts: cosines of each span; step: of the mean's size, that a value counts, or (n,)."""

    counts: tuple[int, int, int]
    step: float | Floats

    @property
    def rows(self) -> int:
        """Of what is kept."""
        return sum(self.counts)

    def pack(self, x: Floats) -> Bytes:
        """(frames, n) -> int8 (rows, n)."""
        out = []
        for span, count in zip(spans(len(x)), self.counts, strict=True):
            part = x[span]
            c = scipy.fft.dct(part, axis=0, norm="ortho")[:count] / np.sqrt(len(part))
            out.append(np.pad(c, ((0, count - len(c)), (0, 0))))
        return np.rint(np.concatenate(out) / self.step).clip(-127, 127).astype(np.int8)

    def unpack(self, q: Floats, frames: int) -> Floats:
        """(rows, n) -> (frames, n)."""
        x = np.zeros((frames, q.shape[1]), np.float32)
        scaled = q * np.asarray(self.step, np.float32)
        at = 0
        for span, count in zip(spans(frames), self.counts, strict=True):
            # Of most values, and of all that move fast at another key, nothing is left.
            used = np.flatnonzero(q[at : at + count].any(axis=1))
            if len(used):
                waves = _waves(span.stop - span.start, count)[:, : used[-1] + 1]
                np.matmul(waves, scaled[at : at + waves.shape[1]], out=x[span])
            at += count
        return x


@lru_cache(64)
def _waves(length: int, count: int) -> Floats:
    """The first cosines of a span of that many frames (length, at most count), of mean square 1."""
    k = np.arange(min(count, length))
    waves = np.cos(np.pi / length * k * (np.arange(length)[:, None] + 0.5)) * np.where(k, np.sqrt(2), 1)
    return waves.astype(np.float32)


def seamless(x: Floats) -> None:
    """Spans of (frames, n) brought together in place over _SEAM frames to both sides."""
    ramp = (np.arange(_SEAM, dtype=np.float32)[:, None] + 1) / (2 * _SEAM + 1)
    for seam in (s.start for s in spans(len(x))[1:] if s.start + _SEAM <= len(x)):
        gap = x[seam] - x[seam - 1]
        x[seam - _SEAM : seam] += ramp * gap
        x[seam : seam + _SEAM] -= ramp[::-1] * gap
