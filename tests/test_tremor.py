"""What a partial does too fast for its note to be told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from nsynth_instrument.dsp.additive import noise_bands, synthesise
from nsynth_instrument.dsp.hiss import CLEAN, floors
from nsynth_instrument.dsp.partials import BAND_EDGES, BANDS, RATE, SILENCE, SLOTS, Partials
from nsynth_instrument.dsp.tremor import slowed
from nsynth_instrument.notes import hz

FRAMES = 500


def moving(f0: float, moves: np.ndarray) -> Partials:
    """Eight even partials whose levels all do `moves` dB (FRAMES, 8), no noise."""
    level = np.full((FRAMES, SLOTS), SILENCE, np.float32)
    level[:, :8] = -20 + moves
    noise = np.full((FRAMES, BANDS), -170.0, np.float32)
    return Partials(f0, level, np.zeros_like(level), noise, np.zeros(FRAMES, np.float32))


def test_a_low_note_that_trembles_like_noise_has_none_between_its_partials() -> None:
    rng = np.random.default_rng(0)
    rough = moving(hz(40), rng.normal(0, 1.0, (FRAMES, 8)))
    before, after = (floors(synthesise(n, np.random.default_rng(1)), hz(40))[5:20].max() for n in (rough, slowed(rough)))
    assert before > CLEAN and after < before - 10


def test_slow_swings_onsets_and_high_notes_stay() -> None:
    t = np.arange(FRAMES)[:, None] / 125
    swing = np.tile(3 * np.sin(2 * np.pi * 6 * t), (1, 8))
    note = moving(hz(40), swing)
    np.testing.assert_allclose(slowed(note).level[20:-20, :8], note.level[20:-20, :8], atol=0.05)
    rough = moving(hz(40), np.random.default_rng(0).normal(0, 1.0, (FRAMES, 8)))
    assert np.array_equal(slowed(rough).level[:6], rough.level[:6]), "an onset is as fast as it is"
    assert np.array_equal(slowed(rough).level[:, 8:], rough.level[:, 8:]), "what is off stays off"
    high = moving(hz(72), rough.level[:, :8] + 20)
    assert slowed(high) is high


def test_noise_under_a_partial_is_found_too_loud() -> None:
    """The estimator's known error, which `detail.TOO_LOUD` takes off: a tone in noise whose density is known."""
    rng, density = np.random.default_rng(0), -84.0
    noise = noise_bands(np.full((FRAMES, BANDS), density, np.float32), rng)
    t = np.arange(len(noise)) / RATE
    tone = sum(0.1 / k * np.sin(2 * np.pi * hz(52) * k * t + k) for k in range(1, 100)).astype(np.float32)
    found = []
    for sound in (noise, noise + tone):
        level = 10 * np.log10(np.mean(np.square(sound[RATE // 10 :], dtype=np.float64)))
        width = 10 * np.log10(np.diff(BAND_EDGES))
        found.append(float(np.median((floors(sound, hz(52)) + level - width)[10:55])) - density)
    assert found[0] == pytest.approx(0.1, abs=0.25) and found[1] - found[0] == pytest.approx(0.75, abs=0.35)
