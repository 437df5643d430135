"""Sounds of kinds that no soundfont has, made of those that it has, in the domain of features.

A voice that has heard instruments alone takes everything for an instrument. A user's oscillator is none: its harmonics are as
loud as chance has it, or every other one is missing; its partials are stretched or lie where they will; it has no breath and no
bow; two of it beat. What is altered is altered alike in the note that is heard and in the one that is asked for, by number of
the harmonic or by frequency, so that the codes must carry it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..dsp import timbre
from ..dsp.partials import BAND_CENTRES, QUIETEST, RATE, SILENCE, SLOTS, Partials, slots_for

Floats = npt.NDArray[np.float32]

_K = np.arange(1, SLOTS + 1, dtype=np.float32)
_WINDOW = 1024
"""Samples that the analysis hears at the least; a slot without a partial has what its neighbours leak through that window."""


@dataclass(frozen=True, eq=False)
class Strange:
    """One such alteration.

    gains: dB by harmonic (SLOTS,); bare: whether gains stand in place of the note's own timbre, whose level over time alone is
    kept; fade: dB/s by which each harmonic fades besides (SLOTS,); warp: factor by which a timbre's shape lies higher;
    stretch: B of key 60, whose partials lie at k sqrt(1 + B k^2) as a stiff string's do, and octaves by which B grows an octave;
    astray: offsets by harmonic (SLOTS,); beat: cents between two oscillators and dB of the second against the first;
    noise: dB by which noise is louder; swell: s in which the sound rises; sway: cents and Hz of a vibrato, dB of its tremolo.
    """

    gains: Floats
    bare: bool = False
    fade: Floats | None = None
    warp: float = 1.0
    stretch: tuple[float, float] = (0.0, 0.0)
    astray: Floats | None = None
    beat: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    swell: float = 0.0
    sway: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Strange:
        """One or a few alterations at once; one in three is of a bare tone."""
        bare = rng.random() < 0.35
        gains = np.zeros(SLOTS, np.float32)
        if bare:
            gains -= np.float32(rng.uniform(0, 14)) * np.log2(_K)
        if bare or rng.random() < 0.6:
            gains += _levels(rng)
        fade = np.float32(rng.uniform(0, 12)) * _K ** np.float32(rng.uniform(0.2, 1)) if bare and rng.random() < 0.4 else None
        warp = float(2 ** rng.uniform(-0.6, 0.6)) if not bare and rng.random() < 0.3 else 1.0
        stretch = (float(10 ** rng.uniform(-5, -2.8)), float(rng.uniform(0, 1.5))) if rng.random() < 0.25 else (0.0, 0.0)
        astray = None
        if rng.random() < 0.1:
            astray = rng.uniform(-0.5, 0.5, SLOTS).astype(np.float32) * np.float32(rng.random())
            astray[0] = 0
        beat = (float(rng.uniform(2, 25)), float(rng.uniform(-12, 0))) if rng.random() < 0.2 else (0.0, 0.0)
        noise = (-80.0 if rng.random() < 0.7 else 0.0) if bare else float(rng.choice([-80, -20, 0, 0, 0, 10, 20]))
        swell = float(rng.uniform(0.05, 0.8)) if rng.random() < 0.1 else 0.0
        sway = (0.0, 0.0, 0.0)
        if rng.random() < 0.1:
            sway = float(rng.uniform(0, 40)), float(rng.uniform(3, 8)), float(rng.uniform(0, 3))
        return cls(gains, bare, fade, warp, stretch, astray, beat, noise, swell, sway)

    def __call__(self, note: Partials, pitch: float, first: int, rng: np.random.Generator) -> Partials:
        """The altered note (features of a crop that begins at frame `first`), of MIDI `pitch`; rng: phases of what moves."""
        slots = slots_for(note.f0)
        seconds = timbre.frame_times(len(note), first)[:, None]
        level, offset, deviation = note.level, note.offset, note.deviation
        if self.bare:
            power = (10 ** (level / 10)).sum(axis=1, keepdims=True)
            course = 10 * np.log10(np.maximum(power, 1e-12)) - 10 * np.log10((10 ** (self.gains[:slots] / 10)).sum())
            level, offset = np.broadcast_to(course, level.shape).astype(np.float32), np.zeros_like(offset)
        elif self.warp != 1:
            level = _warped(level, self.warp)
        level = level + self.gains
        if self.fade is not None:
            level = level - self.fade * seconds
        if self.swell:
            level = level - 40 * np.exp(-seconds / self.swell)
        if self.beat[0]:
            level = level + _beating(note.f0, *self.beat, seconds, rng)
        if self.sway[0] or self.sway[2]:
            swing = np.sin(2 * np.pi * (self.sway[1] * seconds + rng.random())) * np.minimum(seconds / 0.4, 1)
            deviation = deviation + (self.sway[0] * swing[:, 0]).astype(np.float32)
            level = level + self.sway[2] * swing
        level = level.astype(np.float32)
        level[:, slots:] = SILENCE
        if self.astray is not None:
            offset = np.clip(offset + self.astray, -0.5, 0.5)
        if self.stretch[0]:
            stiff = min(5e-3, self.stretch[0] * 2 ** (self.stretch[1] * (pitch - 60) / 12))
            level, offset = _stretched(level, offset, stiff, slots)
        level, offset = _leaking(level, offset, note.f0)
        level[:, slots:] = SILENCE
        noise = np.interp(np.log(BAND_CENTRES / self.warp), np.log(BAND_CENTRES), np.arange(len(BAND_CENTRES)))
        noise = note.noise[:, np.rint(noise).astype(int)] + self.noise - (40 * np.exp(-seconds / self.swell) if self.swell else 0)
        return replace(
            note, level=np.clip(level, SILENCE, 0), offset=offset.astype(np.float32),
            noise=np.maximum(noise, QUIETEST).astype(np.float32), deviation=deviation,
        )  # fmt: skip


def _levels(rng: np.random.Generator) -> Floats:
    """Gains by harmonic (SLOTS,), 0 dB the loudest: as chance has it, or smooth; of a comb, of odd ones, of a few."""
    gains = rng.normal(0, rng.uniform(1, 10), SLOTS).astype(np.float32)
    if rng.random() < 0.4:
        knots = np.sort(rng.uniform(0, np.log(SLOTS), 6))
        gains = np.interp(np.log(_K), knots, rng.normal(0, 8, 6)).astype(np.float32)
    kind = rng.random()
    if kind < 0.2:
        gains += 20 * np.log10(np.maximum(np.abs(np.sin(np.pi * _K * rng.uniform(0.04, 0.5))), 0.02))
    elif kind < 0.4:
        gains[1::2] -= np.float32(rng.uniform(10, 70))
    elif kind < 0.6:
        gains -= np.maximum(_K - np.float32(2 ** rng.uniform(0, 4)), 0) * np.float32(rng.uniform(3, 40))
    elif kind < 0.7:
        gains -= np.where(rng.random(SLOTS) < rng.uniform(0.2, 0.8), np.float32(60), np.float32(0))
        gains[0] = max(gains[0], -20)
    return np.asarray(np.maximum(gains - gains.max(), -150), dtype=np.float32)


def _warped(level: Floats, warp: float) -> Floats:
    """Levels (frames, SLOTS) with the shape of their timbre `warp` times as high."""
    at = np.clip(_K / np.float32(warp) - 1, 0, SLOTS - 1)
    low = np.minimum(at.astype(int), SLOTS - 2)
    part = at - low
    return np.asarray(level[:, low] * (1 - part) + level[:, low + 1] * part, dtype=np.float32)


def _beating(f0: float, cents: float, gain: float, seconds: Floats, rng: np.random.Generator) -> Floats:
    """dB (frames, SLOTS) by which a second oscillator, that many cents away, makes the first swing: as fast as k is high."""
    apart = _K * np.float32(f0 * (2 ** (cents / 1200) - 1))
    # The analysis hears what is slower than its window; of the rest the mean.
    heard = np.clip(1.5 - apart * max(4 / f0, _WINDOW / RATE), 0, 1) * 10 ** (gain / 20)
    turn = 2 * np.pi * (apart * seconds + rng.random(SLOTS))
    power = 1 + 2 * heard * np.cos(turn) + 10 ** (gain / 10)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-3)), dtype=np.float32)


def _stretched(level: Floats, offset: Floats, stiff: float, slots: int) -> tuple[Floats, Floats]:
    """Partials moved as a stiff string's are, each into the slot where it then lies; against what its low ones have in common."""
    place = _K * np.sqrt(1 + np.float32(stiff) * _K * _K)
    power = (10 ** (level[:, :12] / 10)).mean(axis=0)
    place = place / (power @ (place[:12] / _K[:12]) / max(float(power.sum()), 1e-13))
    into = np.rint(place).astype(int)
    there = (into >= 1) & (into <= slots) & (np.arange(SLOTS) < slots)
    out, off = np.full_like(level, SILENCE), np.zeros_like(offset)
    out[:, into[there] - 1] = level[:, there]
    off[:, into[there] - 1] = np.clip(offset[:, there] + (place - into)[there], -0.5, 0.5)
    return out, off


def _leaking(level: Floats, offset: Floats, f0: float) -> tuple[Floats, Floats]:
    """A slot without a partial has what its neighbours leak through the analysis' window, and at that edge."""
    periods = max(4.0, _WINDOW * f0 / RATE)
    leak = np.float32(28 + 18 * np.log2(periods / 4))
    below, above = np.full_like(level, SILENCE), np.full_like(level, SILENCE)
    below[:, 1:], above[:, :-1] = level[:, :-1] - leak, level[:, 1:] - leak
    louder = np.maximum(below, above)
    leaks = louder > level
    return np.where(leaks, louder, level), np.where(leaks, np.where(below > above, np.float32(-0.5), np.float32(0.5)), offset)
