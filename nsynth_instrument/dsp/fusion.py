"""Whether what lies between two sounds is one sound, or both at once.

Ears take partials for one sound that begin together and move together (Bregman 1990, "Auditory scene analysis", chapter 3: common
onset, common fate). Three things that two sounds at once cannot hide:

- they begin twice: partials of the one before those of the other (30 ms are enough to hear two: Rasch 1978, "The perception
  of simultaneous notes");
- they go on twice: while the one decays and the other holds, partials follow first the one and then the other, as the sum of
  both does. A sound between them has courses between theirs instead;
- their partials beat, where they are not exactly in tune with each other.

Two sounds that begin, move and are tuned alike fuse: they are one to the ear, and to these measures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .analysis import analyse
from .partials import slots_for
from .steadiness import FRAME_RATE, HEARD, movement

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BEGUN = 1.0
"""s within which a partial reaches the level that its onset is measured by."""
HELD = 3.0
"""s of a note whose courses are looked at."""
SLOW = 0.1
"""s over which levels are averaged for a course: beating is another measure's."""

ONSETS, BEATING = 15.0, 0.5
"""ms and dB, beyond what the ends have of their own, from which on a middle counts as two."""
APART = 1.5
"""dB between the sum of the ends and what lies between them, from which on courses can tell."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A note as its partials. level: slow levels in dB of its heard slots, QUIET elsewhere (frames, slots); onsets: mean absolute
    deviation of the partials' onsets from their median, ms; beating: RMS in dB of their levels beside their slow courses.
    """

    level: Doubles = field(repr=False)
    onsets: float
    beating: float


@dataclass(frozen=True)
class Middle:
    """What lies between two sounds, against them.

    onsets, beating: ms and dB beyond the larger of the ends' own; sum: 0 where its partials' courses lie between the ends', 1
    where they are those of both at once, NaN where the ends move so alike that it makes no difference.
    """

    onsets: float
    beating: float
    sum: float

    @property
    def two(self) -> bool:
        """Whether it is both at once by any of the three."""
        return self.onsets_two or self.beating_two or self.courses_two

    @property
    def onsets_two(self) -> bool:
        """Whether it begins twice."""
        return self.onsets > ONSETS

    @property
    def beating_two(self) -> bool:
        """Whether it beats."""
        return self.beating > BEATING

    @property
    def courses_two(self) -> bool:
        """Whether it goes on as both at once."""
        return self.sum > 0.5


def listen(audio: Floats, pitch: float) -> Heard:
    """To a mono note (samples,) at 48 kHz, 3 s or longer, near MIDI `pitch`, its onset at the start."""
    note = analyse(audio, pitch)
    level = note.level[: round(HELD * FRAME_RATE), : slots_for(note.f0)].astype(np.float64)
    top = level.max(axis=0)
    heard = top > top.max() - HEARD
    weight = 10 ** (top[heard] / 40)
    onset = _onsets(10 ** (level[: round(BEGUN * FRAME_RATE), heard] / 20)) * 1000 / FRAME_RATE
    order = np.argsort(onset)
    total = np.cumsum(weight[order])
    middle = onset[order][np.searchsorted(total, total[-1] / 2)]
    spread = float(np.average(np.abs(onset - middle), weights=weight))
    floored = np.maximum(level, top.max() - HEARD - 10)
    slow = scipy.ndimage.uniform_filter1d(floored, round(SLOW * FRAME_RATE) | 1, axis=0, mode="nearest")
    return Heard(slow, spread, movement(audio, pitch).stir)


def _onsets(amplitude: Doubles) -> Doubles:
    """Frame, with fraction, in which each column first comes to half of its maximum."""
    half = amplitude.max(axis=0) / 2
    first = np.argmax(amplitude >= half, axis=0)
    columns = np.arange(amplitude.shape[1])
    here, before = amplitude[first, columns], amplitude[np.maximum(first - 1, 0), columns]
    return np.where(first > 0, first - (here - half) / np.maximum(here - before, 1e-12), 0.0)


def between(middle: Heard, a: Heard, b: Heard) -> Middle:
    """A sound between two others of the same pitch, judged against them."""
    onsets = middle.onsets - max(a.onsets, b.onsets)
    return Middle(onsets, middle.beating - max(a.beating, b.beating), _sum(middle.level, a.level, b.level))


def _sum(middle: Doubles, a: Doubles, b: Doubles) -> float:
    """How much nearer the courses are to those of the sum of both ends than to those between them.

    Both are given their best: the sum its best balance of a and b, the interpolation of levels its best place. Only courses are
    compared, each partial's level over time without its mean: a spectrum may be a sum and still be one sound's.
    """
    slots = min(x.shape[1] for x in (middle, a, b))
    middle, a, b = (x[:, :slots] for x in (middle, a, b))
    top = middle.max(axis=0)
    weight = np.where(top > top.max() - HEARD, 10 ** (top / 40), 0)
    weight = weight / weight.sum() / len(middle)

    def apart(x: Doubles, y: Doubles) -> float:
        difference = x - y
        return float(np.sqrt((np.square(difference - difference.mean(axis=0)) * weight).sum()))

    inner = [(1 - u) * a + u * b for u in np.linspace(0, 1, 21)]
    sums = [10 * np.log10(10 ** (a / 10) + 10 ** ((b + g) / 10)) for g in np.arange(-40.0, 41.0, 2.0)]
    by_inner, by_sum = [apart(middle, x) for x in inner], [apart(middle, x) for x in sums]
    nearest, likeliest = inner[int(np.argmin(by_inner))], sums[int(np.argmin(by_sum))]
    # Where neither differs from the other, nothing can be told: the ends' own courses are alike, or it is one of them.
    if apart(nearest, likeliest) < APART:
        return float("nan")
    one, both = min(by_inner), min(by_sum)
    return one / max(one + both, 1e-9)
