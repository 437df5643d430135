"""Detail: what a note has and the network did not say of it; what is said of a note, with weighted details of others added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import numpy.typing as npt

from . import timbre
from .cosines import seamless, spans
from .partials import ATTACK, BANDS, PIECES, SLOTS, Floats, slots_for

TOO_LOUD = 1.0
"""dB by which analysis finds noise too loud, and details with it: a partial takes loud bins of its slot, so fewer of the noise's
are in the louder half. Of tones in noise it is 0.6 dB; recordings made again of what was found had 1.5 dB more of it."""


@dataclass(frozen=True, eq=False)
class Detail:
    """One note's: level (frames, its slots) dB, noise (frames, BANDS) dB, offset (frames, some slots), deviation (frames,) cents,
    attack (ATTACK,) dB; quick: the share that it has of what moves fast; colour: levels that were said of the known note, means
    over onset, sustain and release in dB (3, n), for another key to have too by `doubt`; None where it is none; swing: logarithms
    of how much more levels moved than was said, and their two differences (ORDERS,); at: which of its frames is read in each,
    (frames,), None where both run alike.
    """

    level: Floats
    noise: Floats
    offset: Floats
    deviation: Floats
    attack: Floats
    quick: float = 1.0
    colour: Floats | None = None
    doubt: float = 0.0
    swing: Floats | None = None
    at: Floats | None = None


MEANT = 128
"""Slots of which a network says such means."""


@dataclass(frozen=True, eq=False)
class Means:
    """Of a detail, what it is in the mean over onset, sustain and release: level (3, some slots) dB, noise (3, BANDS) dB."""

    level: Floats
    noise: Floats

    def louder(self, gain: float) -> Means:
        """The same of a note that is `gain` dB louder."""
        level = np.pad(self.level, ((0, 0), (0, SLOTS - self.level.shape[1]))) + np.float32(gain)
        return Means(level, self.noise + np.float32(gain))

    def over(self, frames: int) -> Detail:
        """The same as a detail of that many frames, which says nothing of what moves."""
        level, noise = (np.repeat(x, [len(range(frames)[s]) for s in spans(frames)], axis=0) for x in (self.level, self.noise))
        seamless(level)
        seamless(noise)
        return Detail(level, noise, level[:, :0], np.zeros(frames, np.float32), np.zeros(ATTACK, np.float32), quick=0.0)


def add(said: timbre.Said, f0: float, details: Sequence[tuple[Detail, float | Floats]]) -> timbre.Said:
    """What was said, with weighted details added, slot by slot (harmonic by harmonic): lengths must agree.

    A weight is one number, or one for each frame.

    Fluctuation shrinks by the share that the details already tell.
    """
    if not details:
        return said
    share = sum(float(np.mean(w)) * d.quick for d, w in details)
    n = slots_for(f0)
    level, noise, offset, deviation = said.level.copy(), said.noise.copy(), said.offset.copy(), said.deviation.copy()
    attack, swing = said.attack.copy(), np.zeros(timbre.ORDERS, np.float32)
    for d, weight in details:
        each = np.full(len(level), weight, np.float32)
        low, part = _places(d)
        _add(level, d.level, each, low, part, n)
        if d.swing is not None:
            swing += np.float32(each.mean()) * d.swing
        if d.doubt:
            same = min(n, d.colour.shape[1]) if d.colour is not None else 0
            _add(level, _likened(said.level, d, same), np.float32(d.doubt) * each, *_places(replace(d, at=None)), same)
        _add(noise, d.noise, each, low, part, BANDS)
        _add(offset, d.offset, each, low, part, n)
        deviation += each * (d.deviation if d.at is None else d.deviation[low] * (1 - part) + d.deviation[low + 1] * part)
        attack += each[: ATTACK // PIECES].mean() * d.attack
    noise -= np.float32(TOO_LOUD * min(share, 1.0))
    rest = np.float32(np.sqrt(max(0.0, 1 - share**2)))
    np.clip(offset, -0.5, 0.5, out=offset)
    sizes = said.level_sizes * (rest * np.exp(swing))[:, None]
    return timbre.Said(level, offset, noise, deviation, sizes, said.pitch_sizes * rest, attack)


def _likened(level: Floats, detail: Detail, n: int) -> Floats:
    """What makes the colour of levels (frames, SLOTS) that of the known note, as loud as they are, (frames, n) of its slots."""
    assert detail.colour is not None
    low = float(level[:, :n].max()) - timbre.DEPTH
    out = np.zeros((len(level), n), np.float32)
    for span, colour in zip(spans(len(level)), detail.colour, strict=True):
        here = np.maximum(level[span, :n], low).mean(axis=0)
        there = np.maximum(colour[:n] - colour.max() + low + timbre.DEPTH, low)
        louder = 10 * np.log10((10 ** (there / 10)).sum() / (10 ** (here / 10)).sum())
        out[span] = there - here - louder
    seamless(out)
    return out


def _places(detail: Detail) -> tuple[npt.NDArray[np.int64], Floats]:
    """Between which frame and the next each is read (frames,), and how far on."""
    last = len(detail.level) - 2
    if detail.at is None:
        return np.arange(last + 2), np.zeros(last + 2, np.float32)
    low = np.clip(detail.at.astype(np.int64), 0, max(0, last))
    return low, np.clip(detail.at - low, 0, 1).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def _add(total, what, weight, low, part, n):  # type: ignore[no-untyped-def]
    """Add the first n columns of what (frames, some), as far as it has them, read at `_places`, to those of total: each frame
    times its weight."""
    n = min(n, what.shape[1])
    for t in range(len(total)):
        to, one, p, w = total[t, :n], what[low[t], :n], part[t], weight[t]
        if p == 0:
            for k in range(n):
                to[k] += w * one[k]
        else:
            other = what[low[t] + 1, :n]
            for k in range(n):
                to[k] += w * (one[k] + (other[k] - one[k]) * p)
