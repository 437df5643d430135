"""What a sound does from moment to moment beyond its smooth course, drawn anew for every note.

An ensemble's partials waver one by one; a network that learns by absolute error says their median and no
more. It also says how far they stray, how far that moves in a frame, and how far the movement changes
(`Said.level_sizes`). Three sizes are three autocovariances, and those one second-order process (Yule-Walker): a vibrato
comes back as a swing with its rate, breath as a walk without one.
"""

from __future__ import annotations

import numba
import numpy as np

from . import beating, timbre
from .curves import exp2
from .normal import normal
from .partials import Floats, Partials, slots_for
from .wide import wide

_TO_DEVIATION = 1.2533
"""Standard deviation of a normal variable over its mean absolute value."""

_MOST = 6.0
"""dB; the deviation of a level that beats as freely as noise does (Rayleigh: 5.6 dB). What is said beyond is doubt, not sound."""
_CREST = 5.0
"""dB over its mean to which a partial rises: beating cancels to nothing, but adds to little more than the parts."""
_DIP = 8.0
"""dB under its mean from which on a partial dips the faster: with _CREST, sizes stay as drawn, within 4 % up to 4 dB."""
_DEEPEST = 30.0
"""dB under its mean to which a partial dips at the most."""

_GRAIN = np.array([0.144, 0.204, 0.354], np.float32)
"""dB; deviations of a level kept in half decibels, of its step and of the step's: not the sound's, so taken off."""
_DOUBT = 1.3
"""dB; the deviation that is said of tones that stand still, too: the network's doubt, so taken off."""
_SHARE = 0.85
"""Of the rest, what is drawn: some of it is a course misjudged, not fluctuation. How far levels go from frame to frame tells more
of it, and stays as it is said, by faster movement. On 24 held-out notes the distance falls by 0.04 dB."""
_WALK = 0.6
"""The same of pitch where it walks; a pure swing, as of a vibrato, is drawn as it is said, and what lies between between.
On 32 notes the distance falls by 0.04 dB; strings, choir, flute and trumpet sway by 8.0, 4.0, 8.3 and 2.6 cents (all of it:
8.9, 4.6, 9.0, 3.0; the recordings 7.7, 3.9, 7.9, 2.6)."""
_STRONG, _FAINT = 30.0, 50.0
"""dB under the loudest partial from which on others move the less, and at which they stand still. What is said of a zone is
learned from its loud ones. On 32 notes the distance falls by 0.03 dB; strings' partials go 1.76 dB from frame to frame (1.78)."""
_SLOWEST = 0.75
"""Least size, of what is said, for which movement is faster: what hardly stirs would be rough."""


def enliven(
    said: timbre.Said, f0: float, rng: np.random.Generator, amount: float = 1.0, *, told: timbre.Said | None = None
) -> Partials:
    """Features with fluctuation of `amount` (1: as the network expects) on levels and on the common pitch.

    told: what the network said before details were added, by which it is judged whether levels stray because two oscillators
    beat (`beating`), which are then played as two; None if that is not to be.
    """
    level, deviation, beat = said.level, said.deviation, None
    if amount > 0:
        frames, n = len(level), slots_for(f0)
        sizes = said.level_sizes.reshape(-1, timbre.ZONES) @ timbre.to_harmonics(f0, timbre.ZONES)[:, :n]
        sizes = sizes.reshape(frames, timbre.ORDERS, n)
        stray = normal(rng, frames * n).reshape(frames, n)
        _swing(sizes, level, _GRAIN, _DOUBT, _SHARE, _MOST, stray)
        sure, hz = beating.beats(told, f0, _GRAIN / _TO_DEVIATION) if told is not None else (0.0, 0.0)
        if sure > 0 and sizes.any():  # details may tell all of it
            beat = beating.beat(sizes[:, 0], sure, hz, amount, rng)
            stray *= np.float32(np.sqrt(1 - sure * sure))
        level = level.copy()
        _bend(stray, amount, level)
        drift = normal(rng, frames)[:, None]
        alike = np.zeros((frames, 1), np.float32)
        _swing(_swaying(said.pitch_sizes)[:, :, None], alike, np.zeros_like(_GRAIN), 0.0, 1.0, 1e9, drift)
        deviation = deviation + drift[:, 0] * np.float32(amount)
    return Partials(f0, level, said.offset, said.noise, deviation, said.attack, beat)


def _swaying(sizes: Floats) -> Floats:
    """Sizes (frames, ORDERS) of pitch, the first of them less where the others say that it walks and does not swing."""
    size, step, bend = sizes.T.astype(np.float64) ** 2
    swings = np.minimum(step * step / np.maximum(size * bend, 1e-12), 1)  # 1 of a sine, step / 3 of a walk of variance 1
    out = sizes.copy()
    out[:, 0] *= _WALK + (1 - _WALK) * swings
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def _bend(stray, amount, level):  # type: ignore[no-untyped-def]
    """Add to levels (frames, n or more) in dB so much of what strays (frames, n): less than that where it rises, more where it
    dips."""
    wide()
    crest, dip, nepers = np.float32(_CREST), np.float32(_DIP), np.float32(-np.log2(np.e))
    least, highest, amount = np.float32(-_DIP * np.log1p(_DEEPEST / _DIP)), np.float32(100), np.float32(amount)
    for t in range(len(stray)):
        to = level[t]
        for k in range(stray.shape[1]):
            x = min(max(amount * stray[t, k], least), highest)
            bend = crest if x > 0 else dip
            to[k] += bend - bend * exp2(nepers * x / bend)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _swing(sizes, level, grain, doubt, share, most, noise):  # type: ignore[no-untyped-def]
    """Turn unit noise (frames, n) in place into second-order processes whose mean absolute sizes, and their two differences',
    are (frames, ORDERS, n): without the grain (ORDERS,) in them; of the first `share` of what doubt leaves, at most `most`.
    level (frames, n or more): in dB; what is faint beside the loudest moves less.

    Of variance 1 and autocorrelations r1, r2, differences have variances 2 - 2 r1 and 6 - 8 r1 + 2 r2. All in float32, of which
    twice as many are in a vector, and whose roots and quotients take a fraction of the time.
    """
    wide()
    frames, n = noise.shape
    before, last = np.zeros(n, np.float32), np.zeros(n, np.float32)
    none, one, half, four, floor = np.float32(0), np.float32(1), np.float32(0.5), np.float32(4), np.float32(1e-12)
    scale, slowest, silent = np.float32(_TO_DEVIATION), np.float32(_SLOWEST), np.float32(_FAINT)
    loudness = np.float32(1 / (_FAINT - _STRONG))
    doubt, share, most = np.float32(doubt), np.float32(share), np.float32(most)
    grain0, grain1, grain2 = grain[0] * grain[0], grain[1] * grain[1], grain[2] * grain[2]
    for t in range(frames):
        first, second = t == 0, t == 1
        still = level[t, :n].max() - silent
        for k in range(n):
            size, step, bend = scale * sizes[t, 0, k], scale * sizes[t, 1, k], scale * sizes[t, 2, k]
            heard = np.sqrt(max(size * size - grain0, floor))
            less = doubt / heard
            size = share * min(heard, most) * np.sqrt(max(one - less * less, none))
            course = max(size, slowest * heard)
            over = one / (course * course)
            step, bend = max(step * step - grain1, none) * over, max(bend * bend - grain2, none) * over
            r1 = min(max(one - half * step, np.float32(-0.95)), np.float32(0.9995))
            r2 = half * bend - np.float32(3) + four * r1
            # The second reflection coefficient: -1 is a pure sine, 0 a first-order walk.
            b = min(max((r2 - r1 * r1) / (one - r1 * r1), np.float32(-0.98)), np.float32(0.7))
            # The first two frames have no two before them.
            b = none if first or second else b
            r1 = none if first else r1
            now = r1 * (one - b) * last[k] + b * before[k] + np.sqrt((one - r1 * r1) * (one - b * b)) * noise[t, k]
            before[k] = last[k]
            last[k] = now
            moves = (level[t, k] - still) * loudness
            noise[t, k] = now * size * min(max(moves, none), one)
