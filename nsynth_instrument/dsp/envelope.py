"""Where a recorded note begins, is let go and ends, and whether it holds its level: read off its loudness over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE = 48000
HOP = 240
"""Frames of audio between levels: 5 ms."""
FAINTEST = -75.0
"""dB of full scale; a file whose loudest 20 ms are below is silent."""
BEGIN = 50.0
"""dB below the top at which a note has begun."""
END = 60.0
"""dB below the top at which it has ended."""
ABOVE = 6.0
"""dB over the noise floor that is still floor."""
GAP = 0.3
"""s of silence after which another sound is another note."""
FALL = 6.0
"""dB a second; what falls faster while it is held does not sustain."""
_GRID = 64
"""Points of the curve in which the release is sought."""


@dataclass(frozen=True)
class Shape:
    """Times in s from the start of the recording.

    start: of the note; release: when it was let go; end: of its sound; sustains: whether it keeps its level while held;
    let_go: whether the recording holds the release (else it breaks off, or dies away by itself); cut: whether it breaks
    off; floor: of noise, in dB re the top; others: whether more sounds follow, which are left out.
    """

    start: float
    release: float
    end: float
    sustains: bool
    let_go: bool
    cut: bool
    floor: float
    others: bool

    @property
    def hold(self) -> float:
        """s from the start to the release."""
        return self.release - self.start


def levels(audio: Floats, *, window: int = 960) -> Doubles:
    """Level in dB of full scale, (frames / HOP,), of `window` frames around each multiple of HOP."""
    power = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    at = np.arange(0, len(audio), HOP)
    low, high = np.maximum(at - window // 2, 0), np.minimum(at + window // 2, len(audio))
    return np.asarray(10 * np.log10(np.maximum((power[high] - power[low]) / np.maximum(high - low, 1), 1e-14)))


def shape(audio: Floats) -> Shape | None:
    """The shape of the first note in mono audio (frames,) at 48 kHz, with or without silence around it; None if it is silent."""
    level = levels(audio)
    top = float(level.max(initial=-200.0))
    if top < FAINTEST:
        return None
    floor = min(_floor(level, top), top - 12)
    first, last, others = _span(level, top, floor)
    start = _start(audio, first, top, floor)
    # Low notes ripple in 20 ms.
    knee, falls = _release(levels(audio, window=2400)[first : last + 1])
    broken = level[last] > max(top - 35, floor + 12)
    end = min((last + 1) * HOP, len(audio))
    release = end if knee is None else (first + knee) * HOP
    return Shape(
        start / RATE, max(release, start + HOP) / RATE, end / RATE, not falls, knee is not None, bool(broken and knee is None),
        floor - top, others,
    )  # fmt: skip


def _floor(level: Doubles, top: float) -> float:
    """The noise around the note in dB: before it, or where its end has gone flat; -200 where neither is there to be heard."""
    found = [-200.0]
    head = level[: max(0, int(np.argmax(level > top - 25)) - 6)]
    if len(head) >= 10:
        found.append(float(np.percentile(head, 25)))
    tail = level[-60:]
    if len(tail) == 60 and np.median(tail) < top - 30 and abs(np.polyfit(np.arange(60) * (HOP / RATE), tail, 1)[0]) < 4:
        found.append(float(np.median(tail)))
    return max(found) if max(found) > -110 else -200.0


def _span(level: Doubles, top: float, floor: float) -> tuple[int, int, bool]:
    """First and last level of the first note, and whether another follows a silence."""
    begun = level > max(top - BEGIN, floor + ABOVE)
    # A click is no note: most of the next 50 ms must sound too.
    steady = np.convolve(begun, np.ones(10), "full")[9:] >= 6
    first = int(np.argmax(begun & steady)) if (begun & steady).any() else int(np.argmax(begun))
    sounds = level > max(top - END, floor + ABOVE)
    gap = round(GAP * RATE / HOP)
    last = int(np.flatnonzero(sounds)[-1])
    heard = np.flatnonzero(sounds[first:]) + first
    breaks = np.flatnonzero(np.diff(heard) > gap)
    for b in breaks:
        # What is short and faint after a silence belongs to the end of the note: a key, a string, a breath.
        if level[heard[b + 1] :].max() > level[first : heard[b] + 1].max() - 25:
            return first, int(heard[b]), True
    return first, last, False


def _start(audio: Floats, first: int, top: float, floor: float) -> int:
    """Frame where the note that sounds at level `first` begins: back to where it is lost, at most 1 s, and 1 ms before."""
    fine = levels(audio[: (first + 4) * HOP], window=240)
    faint = max(top - END, floor + ABOVE)
    low = max(0, first - RATE // HOP)
    # Windows reach over the edge of an onset: go forward first to where a 5 ms one agrees.
    while first < len(fine) - 1 and fine[first] < faint:
        first += 1
    while first > low and fine[first - 1] > faint:
        first -= 1
    near = np.abs(audio[max(0, (first - 1) * HOP) : (first + 1) * HOP])
    loud = np.flatnonzero(near > 10 ** ((top - 40) / 20))
    back = int(loud[0]) if len(loud) and fine[first] > top - 40 else 0
    return max(0, max(0, (first - 1) * HOP) + back - 48)


def _release(level: Doubles) -> tuple[int | None, bool]:
    """Place in `level` where the fall steepens for good, if it does, and whether the sound falls before that.

    The curve is fitted by three straight lines that join; the last must be much steeper than the one before.
    """
    peak = int(np.argmax(level > level.max() - 3))
    curve = level[peak:]
    if len(curve) < 24:
        return None, True
    at = np.unique(np.linspace(0, len(curve) - 1, min(_GRID, len(curve))).astype(int))
    t, y = at * (HOP / RATE), curve[at]
    i, j = np.triu_indices(len(t), 2)
    keep = (i >= 1) & (j < len(t) - 1)
    i, j = i[keep], j[keep]
    basis = np.stack(
        [np.ones((len(i), len(t))), np.tile(t, (len(i), 1)), np.maximum(t - t[i][:, None], 0), np.maximum(t - t[j][:, None], 0)],
        axis=2,
    )
    gram = np.einsum("ntk,ntl->nkl", basis, basis) + 1e-9 * np.eye(4)
    fit = np.linalg.solve(gram, (basis * y[None, :, None]).sum(axis=1)[:, :, None])[:, :, 0]
    best = int(np.argmin(np.square(np.einsum("ntk,nk->nt", basis, fit) - y).sum(axis=1)))
    slopes, joints, knee = np.cumsum(fit[best, 1:]), (int(i[best]), int(j[best])), None
    for joint, before, after in zip(joints, slopes[:-1], slopes[1:], strict=True):
        drop, lasts = float(y[joint] - y[-1]), float(t[-1] - t[joint])
        # A curved release takes two lines; the first counts if what comes before was held. A struck note bends early.
        # After a release may come noise, as flat as what was held, but far below.
        ends = slopes[2] < before - 20 or y[joints[0]] - y[joints[1]] > 12
        late = joint == joints[1] or (before > -FALL and t[joint] > 0.4 * t[-1] and ends)
        if late and after < min(2.5 * before, before - 20) and drop > 9 and (lasts < 1 or before > -FALL):
            knee = _exact(level, *(peak + int(at[joint + step]) for step in (0, -1, 1)))
            break
    held = level[peak : knee if knee is not None else len(level) - 4]
    settled = held[len(held) // 4 :]
    if len(settled) < 8:
        return knee, float(held[0] - held[-1]) > 3 if len(held) else True
    rate = float(np.polyfit(np.arange(len(settled)) * (HOP / RATE), settled, 1)[0])
    fallen = -rate * len(settled) * HOP / RATE
    return knee, bool((rate < -FALL and fallen > 2.5) or level.max() - settled[-1] > 20)


def _exact(level: Doubles, near: int, low: int, high: int) -> int:
    """The last place in low..high whose level is within 1.5 dB of what is held just before `low`."""
    held = float(np.median(level[max(0, low - 20) : low + 1]))
    still = np.flatnonzero(level[low : high + 1] > held - 1.5)
    return low + int(still[-1]) if len(still) else near
