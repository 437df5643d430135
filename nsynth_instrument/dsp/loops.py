"""Seamless loops of whole periods: find one in a held note, blend its seam into the audio, measure the result.

A loop of N periods repeats for ever with the pitch N * rate / length, so its length is a whole number of frames
*and* close to N measured periods. Find loops after the last resampling: a resampled loop is no whole number of
frames any more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .baking import blend
from .joints import good_places
from .periods import Doubles, Floats, autocorrelation, between, energy, follow, thinness, wander
from .seams import CENTS, Seam, judge, level, measure, whole_periods
from .thinning import thinned

SHORTEST, LONGEST = 0.25, 1.5
"""s; a shorter loop buzzes, a longer one answers a released key late."""
TUNED = 0.8
"""Of the CENTS that are promised, what a loop's length may use; the rest is for the measurement."""
BLEND = 0.1
"""s; the stretch on either side of the seam that is blended."""
TRIED = 24
"""Loop lengths that are tried at every place."""
PLACES, MEASURED = (2, 6), (48, 400)
"""Starts that are tried for each length, and how many of all places are baked and measured at most until one is seamless: for a
note alone, and for several together, of which the first that is not ends the trial."""
WORSE = 0.1
"""Of likeness, what a loop may give up to have its key's own pitch."""
APART = 3
"""Notes that are given a loop of their own before a common one of the others is given up."""
STRAIN = 1.0
"""dB by which a note's level may change where a loop that suits others is blended into it."""
CLEAR = 0.95
"""Of each limit, what a seam may reach: another's measurement, and 16 bits, change the last percent."""
STEEPEST = 2.0
"""dB/s; a note that falls faster while held decays, and gets no loop."""
FALL = 9.0
"""dB; so does one that has fallen more than this from its first second to its last."""
FAINTEST = -70.0
"""dB re full scale; a quieter note is silence."""


@dataclass(frozen=True)
class LoopResult:
    """A loop of a note.

    start, end: frames, 0-based, `end` is played; periods: whole ones inside; window: frames over which a level is
    taken; blend: frames on either side of the seam that `bake` mixes; hz: the note's own fundamental; tilt: dB by
    which `bake` raises the loop's end to meet its start; seam: measured on the baked audio.
    """

    start: int
    end: int
    periods: int
    window: int
    blend: int
    hz: float
    tilt: float
    seam: Seam

    @property
    def frames(self) -> int:
        """Length."""
        return self.end + 1 - self.start


def sustains(audio: Floats, rate: int, *, hold_seconds: float) -> bool:
    """Whether a note (frames,) keeps its level while held, as a blown or bowed one does; a struck one does not."""
    hop = max(1, rate // 20)
    power = powers(audio[: round(hold_seconds * rate)], hop)
    if len(power) < 20:
        return False
    level = 10 * np.log10(power + 1e-14)
    settled = level[8:]
    slope = 20 * float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    early, last = (10 * np.log10(power[part].mean() + 1e-14) for part in (slice(4, 16), slice(-12, None)))
    return slope > -STEEPEST and last - early > -FALL and last > FAINTEST


def release_seconds(audio: Floats, rate: int, *, hold_seconds: float) -> float:
    """Seconds in which a note (frames,) falls by 60 dB once it is let go after `hold_seconds`, within 0.03..10.

    Where the recording ends before that, the fall it shows is carried on.
    """
    hop, release = max(1, rate // 100), round(hold_seconds * rate)
    tail = audio[release:]
    if len(tail) < 4 * hop:
        return 0.3
    power, before = powers(tail, hop), audio[max(0, release - 20 * hop) : release]
    held = float(powers(before, len(before))[0])
    fallen = 10 * np.log10((held + 1e-14) / (power + 1e-14))
    reached = np.flatnonzero(fallen >= 60.0)
    carried_on = len(fallen) * 60.0 / max(float(np.median(fallen[-5:])), 1.0)
    return float(np.clip((reached[0] + 1 if len(reached) else carried_on) / 100, 0.03, 10.0))


def find_loop(audio: Floats, rate: int, f0_hz: float, *, hold_seconds: float) -> LoopResult | None:
    """The best seamless loop of a note (frames,) that is held for `hold_seconds`; None for notes that decay or have none.

    `f0_hz` is the key's fundamental; the note's own is measured, and where the two can hardly be told apart, as in a note that
    wavers, the loop has the key's: positions and layers of one key then stay together for as long as they are held.
    The loop lies between the attack and the end of the hold, so that the recorded release follows it. Raises UsageError
    when `rate` or `f0_hz` cannot be.
    """
    return find_loops([audio], rate, f0_hz, hold_seconds=hold_seconds)[0]


def find_loops(sounds: Sequence[Floats], rate: int, f0_hz: float, *, hold_seconds: float) -> list[LoopResult | None]:
    """The loop of each of several notes of one key that fade into each other: one and the same where that can be.

    They then jump together, and what is in step stays so for as long as they are held. Where it cannot be, those in which a
    common one is not seamless have their own. Otherwise see `find_loop`.
    """
    if not (8000 <= rate <= 384000 and 1.0 <= f0_hz < rate / 2):
        raise UsageError(f"no loop can be sought at {rate} Hz for a fundamental of {f0_hz} Hz")
    found: list[LoopResult | None] = [None] * len(sounds)
    lasting = [i for i, audio in enumerate(sounds) if sustains(audio, rate, hold_seconds=hold_seconds)]
    alone: list[int] = []
    while lasting:
        loops, worst = _search([sounds[i] for i in lasting], rate, f0_hz, hold_seconds)
        for i, loop in zip(lasting, loops, strict=False):
            found[i] = loop
        if loops or len(lasting) == 1:
            break
        alone.append(lasting.pop(worst))
        if len(alone) == APART:
            alone, lasting = alone + lasting, []
    for i in alone:
        found[i] = next(iter(_search([sounds[i]], rate, f0_hz, hold_seconds)[0]), None)
    return found


@dataclass(frozen=True, eq=False)
class _Hold:
    """A note between its attack and the end of its hold: `squares` is its `energy`, own: its period in frames.

    low: what of it is low, at a rate that is `thin` times lower; likeness: the `autocorrelation` of that.
    """

    sound: Floats
    squares: Doubles
    low: Floats
    thin: int
    likeness: Floats
    own: float


def _search(sounds: Sequence[Floats], rate: int, f0_hz: float, hold_seconds: float) -> tuple[list[LoopResult], int]:
    """The best loop that is seamless in all of these notes, as it is in each; or none, and which of them has the fewest."""
    ends = [_steady(audio, rate, hold_seconds) for audio in sounds]
    low, high = max(first for first, _ in ends), min(last for _, last in ends)
    holds = [_hold(audio[low:high], rate, f0_hz) for audio in sounds]
    key, own = rate / f0_hz, float(np.median([h.own for h in holds]))
    lengths = {cycle: _lengths(holds, cycle, rate) for cycle in (key, own)}
    sides, squares = _together([h.sound for h in holds]), _together([h.squares for h in holds])
    cycles = [own]
    if lengths[key] and lengths[own] and all(_near(h, rate, f0_hz) for h in holds):
        alike_key, alike_own = (_likeness(holds, np.array(lengths[cycle][:1]))[0] for cycle in (key, own))
        cycles = [key, own] if alike_key > alike_own - WORSE else [own]
    order, failed = list(range(len(sounds))), [0] * len(sounds)
    for cycle in cycles:
        window = whole_periods(rate, rate / cycle)
        places: list[tuple[float, int, int]] = []
        for length in lengths[cycle]:
            costs, starts = good_places(sides, squares, length, window, rate, PLACES[len(sounds) > 1])
            places += zip(costs.tolist(), starts.tolist(), itertools.repeat(length))
        for _, at, length in sorted(places)[: MEASURED[len(sounds) > 1]]:
            seamless: dict[int, LoopResult] = {}
            for n in order:
                one = _baked(sounds[n], rate, low + at, length, cycle, window, high)
                if one.seam.excess <= CLEAR:
                    baked = bake(sounds[n], one)
                    seam = judge(baked, rate, one.start, one.end, f0_hz, measured=one.seam if cycle == key else None)
                    if seam.seamless and (len(sounds) == 1 or _strain(sounds[n], baked, one) < STRAIN):
                        seamless[n] = replace(one, seam=seam)
                        continue
                failed[n] += 1
                order.sort(key=lambda i: -failed[i])  # what fails most often is asked first
                break
            if len(seamless) == len(sounds):
                return [seamless[n] for n in range(len(sounds))], 0
    return [], order[0]


def _together(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Arrays (n,) as (arrays, n); one alone is not copied."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _strain(audio: Floats, baked: Floats, loop: LoopResult) -> float:
    """dB by which baking has changed a note's level about its seam, at either end of the loop, beyond its tilt."""
    near = [slice(at - loop.blend, at + loop.blend) for at in (loop.start, loop.end + 1)]
    return max(abs(level(baked[s].astype(np.float64)) - level(audio[s].astype(np.float64))) for s in near) - abs(loop.tilt)


def _hold(part: Floats, rate: int, f0_hz: float) -> _Hold:
    centred, times = part - part.mean(), thinness(rate, f0_hz)
    low = thinned(centred, times)
    squares, thin, longest = energy(low), 2**times, round(LONGEST * rate / 2**times) + 1
    own = follow(low, squares, rate / f0_hz / thin, longest) * thin
    return _Hold(centred, energy(centred), low, thin, autocorrelation(low, squares, longest), own)


def _near(h: _Hold, rate: int, f0_hz: float) -> bool:
    """Whether a note's pitch can hardly be told from its key's."""
    off = abs(1200 * math.log2(rate / f0_hz / h.own))
    return off <= CENTS or off <= wander(h.low, rate / h.thin, f0_hz, least=off - CENTS) + CENTS


def _likeness(holds: Sequence[_Hold], lengths: npt.NDArray[np.integer]) -> Floats:
    """The mean of the notes' at lengths (n,)."""
    return np.asarray(np.mean([between(h.likeness, lengths / h.thin) for h in holds], axis=0))


def _baked(audio: Floats, rate: int, start: int, length: int, cycle: float, window: int, high: int) -> LoopResult:
    """The loop of `length` frames from `start` on, in a hold that ends at `high`, with its seam as it is once it is baked."""
    blend = min(round(BLEND * rate), length // 2, start, high - start - length)
    found = LoopResult(start, start + length - 1, round(length / cycle), window, blend, rate / cycle, 0.0, _NO_SEAM)
    found = replace(found, tilt=_tilt(audio, found, window))
    around = slice(max(0, start - blend), start + length + blend)
    moved = replace(found, start=start - around.start, end=found.end - around.start)
    return replace(found, seam=measure(bake(audio[around], moved), rate, moved.start, moved.end, rate / cycle))


def bake(audio: Floats, loop: LoopResult) -> Floats:
    """The audio (frames,) with the loop's seam blended in; its length is kept.

    Around the loop's start and around the frame after its end, both sounds turn into their common mean, so three
    joints are smooth: into the loop, round it, and out of it into the release. The mix keeps its power whether the
    two are alike or not. The loop's level is tilted to meet itself, and the release keeps the final gain.
    """
    out = np.array(audio, np.float32)
    blend(out, loop.start, loop.end + 1, loop.blend, loop.window, loop.tilt)
    return out


_NO_SEAM = Seam(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def _steady(audio: Floats, rate: int, hold_seconds: float) -> tuple[int, int]:
    """The frames between the attack and the end of the hold, with a little air."""
    hop = rate // 100
    high = min(len(audio), round((hold_seconds - 0.02) * rate))
    power = powers(audio[:high], hop)
    usual = float(np.median(power[len(power) // 3 :]))
    attack = int(np.argmax(np.convolve(power, np.full(5, 0.2), "same") > 0.5 * usual)) * hop
    return min(attack + round(0.25 * rate), high // 3), high


def _lengths(holds: Sequence[_Hold], cycle: float, rate: int) -> list[int]:
    """The most promising loop lengths in frames: whole, of whole periods, in tune, and alike one length later."""
    window, total = whole_periods(rate, rate / cycle), len(holds[0].sound)
    top = min(LONGEST * rate, total - 2 * window - rate // 50, 3 * total // 4 - 1)
    periods = np.arange(max(1, int(np.ceil(SHORTEST * rate / cycle))), int(top / cycle) + 1)
    if not len(periods):
        return []
    lengths = np.round(periods * cycle).astype(int)
    cents = 1200 * np.abs(np.log2(periods * cycle / lengths))
    lengths = lengths[cents <= TUNED * CENTS]
    worth = _likeness(holds, lengths) + 0.01 * np.log2(lengths / rate)
    return [int(n) for n in lengths[np.argsort(-worth)[:TRIED]]]


@numba.njit(nogil=True, cache=True, fastmath=True)
def powers(audio, hop):  # type: ignore[no-untyped-def]
    """Variances of neighbouring stretches of `hop` frames of audio (frames,), as many as are whole."""
    out = np.empty(len(audio) // hop)
    for i in range(len(out)):
        some, mean, total = audio[i * hop : (i + 1) * hop], np.float32(0), np.float32(0)
        for k in range(hop):
            mean += some[k]
        mean /= hop
        for k in range(hop):
            total += (some[k] - mean) ** 2
        out[i] = total / hop
    return out


def _tilt(audio: Floats, loop: LoopResult, window: int) -> float:
    here, there = (audio[max(0, at - window) : at + window].astype(np.float64) for at in (loop.start, loop.end + 1))
    return float(np.clip(level(here) - level(there), -2.0, 2.0))
