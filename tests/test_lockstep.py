"""Notes that fade into each other: in step, a quarter turn apart, so that powers add at every moment."""

import dataclasses
import itertools

import numpy as np
import pytest

from nsynth_instrument.dsp.additive import synthesise
from nsynth_instrument.dsp.lockstep import LEAN, LOW, course, in_step, tuned, turns
from nsynth_instrument.dsp.partials import HOP, RATE, SILENCE, SLOTS, Partials, slots_for
from nsynth_instrument.dsp.pitch import cents_off

FRAMES = 375
F0 = 523.25


def note(seed: int, *, tilt: float, drift: float, vibrato: float = 0.0, stretch: float = 0.0) -> Partials:
    """12 partials, falling by `tilt` dB each, whose pitch drifts by cents, swings by cents at 5 Hz, and is stretched."""
    rng = np.random.default_rng(seed)
    t, k = np.arange(FRAMES) * HOP / RATE, np.arange(SLOTS)
    level = np.where(k < 12, -20.0 - tilt * k, SILENCE) + np.zeros((FRAMES, 1))
    offset = np.where(k < 12, stretch * k**3 + rng.normal(0, 1e-4, SLOTS), 0.0) + np.zeros((FRAMES, 1))
    deviation = drift * np.sin(2 * np.pi * 0.3 * t + seed) + vibrato * np.sin(2 * np.pi * 5 * t)
    noise = np.full((FRAMES, 64), -170.0)
    return Partials(F0, *(x.astype(np.float32) for x in (level, offset, noise, deviation)))


FLUTE = note(1, tilt=6, drift=3, vibrato=8)
PIANO = note(2, tilt=2, drift=-2, stretch=2e-5)


def between(a: Partials, b: Partials, part: float) -> Partials:
    mixed = {f: (1 - part) * getattr(a, f) + part * getattr(b, f) for f in ("level", "offset", "noise", "deviation")}
    return dataclasses.replace(a, **mixed)


def play(p: Partials, place: tuple[int, int], *, apart: bool = True) -> np.ndarray:
    turned = turns(place, np.random.default_rng(7)) if apart else None
    return synthesise(p, np.random.default_rng(3), noise=False, turned=turned).astype(np.float64)


def strays(sounds: list[np.ndarray], gains: list[float]) -> np.ndarray:
    """dB by which the level of a sum lies over the sum of powers, in windows of 0.4 s."""
    whole = sum(g * x for g, x in zip(gains, sounds, strict=True)) ** 2
    parts = sum((g * x) ** 2 for g, x in zip(gains, sounds, strict=True))
    cut = len(whole) // 7 * 7
    return 10 * np.log10(whole[:cut].reshape(7, -1).mean(axis=1) / parts[:cut].reshape(7, -1).mean(axis=1))


def test_neighbours_keep_the_level_line_and_would_not_without() -> None:
    ends = [FLUTE, PIANO]
    line = [between(*ends, p / 4) for p in range(5)]
    shared = course(ends)
    half = [np.sqrt(0.5)] * 2
    kept, loose = [], []
    for i, j in itertools.pairwise(range(5)):
        kept.append(strays([play(in_step(line[p], shared), (p, 0)) for p in (i, j)], half))
        loose.append(strays([play(line[p], (p, 0), apart=False) for p in (i, j)], half))
    assert np.abs(kept).max() < 0.5 and np.abs(loose).max() > 1.5, (kept, loose)


def test_the_middle_of_a_square_keeps_it_too() -> None:
    ends = [FLUTE, PIANO, note(3, tilt=4, drift=1), note(4, tilt=1, drift=-4, vibrato=3)]
    shared = course(ends)
    sounds = [play(in_step(e, shared), at) for e, at in zip(ends, ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True)]
    assert np.abs(strays(sounds, [0.5] * 4)).max() < 1.0


def test_a_vibrato_stays_and_a_drift_is_shared() -> None:
    shared = course([FLUTE, PIANO])
    low = in_step(FLUTE, shared).offset[30:-30, 0] * 1731  # cents, near enough
    t = np.arange(len(low)) * HOP / RATE
    assert 2 * abs(np.mean((low - low.mean()) * np.exp(-2j * np.pi * 5 * t))) > 6, "of 8 cents at 5 Hz"
    apart = np.cumsum(in_step(FLUTE, shared).offset - in_step(PIANO, shared).offset, axis=0) * F0 * HOP / RATE
    assert np.abs(apart[:, :12]).max() < 2.2 * LEAN, "they never turn against each other"


def test_all_positions_are_in_tune_on_one_course() -> None:
    """One weighs partials that lie low, one such that lie high, one the first second, one the last."""
    t, rng = np.arange(FRAMES)[:, None] * HOP / RATE, np.random.default_rng(0)
    notes = []
    for tilt, fall in ((9, 0), (-2, 0), (4, 12), (4, -6)):
        one = note(1, tilt=tilt, drift=0)
        level = np.where(one.level > SILENCE, one.level - fall * t, SILENCE).astype(np.float32)
        notes.append(dataclasses.replace(one, level=level))
    k = np.arange(1, slots_for(F0) + 1)
    wandering = np.cumsum(rng.normal(0, 0.4, (FRAMES, len(k))), axis=0) + rng.normal(0, 4, len(k))
    shared = F0 * k * 2 ** (wandering / 1200)

    def off(i: int, low: Partials) -> float:
        return cents_off(synthesise(low, np.random.default_rng(i), noise=False), RATE, 72)

    before = [off(i, in_step(n, shared)) for i, n in enumerate(notes)]
    course = tuned(shared, notes, off)
    after = [off(i, in_step(n, course)) for i, n in enumerate(notes)]
    assert np.ptp(before) > 2 and np.abs(after).max() < 0.25, (before, after)
    moved = 1200 * np.log2(course / shared)
    assert np.abs(moved[:, :LOW] - moved[:, -1:]).max() < 12 and np.ptp(moved[:, LOW:]) < 1e-6
    # A note that tells no pitch is nobody's hindrance.
    assert np.isfinite(tuned(shared, notes, lambda i, n: float("nan") if i else off(i, n))).all()


def test_a_stretched_partial_goes_where_it_is_heard() -> None:
    n = slots_for(F0)
    shared = course([FLUTE, PIANO])[100:300].mean(axis=0)
    bare = course([FLUTE, FLUTE])[100:300].mean(axis=0)
    full = course([PIANO, PIANO])[100:300].mean(axis=0)
    assert len(shared) == n
    assert shared[11] - bare[11] == pytest.approx(full[11] - bare[11], rel=0.02), "the flute is 44 dB softer there"
