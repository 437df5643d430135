"""What a network draws beside a note's sines, held to the noise that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp import residue
from nsynth_instrument.dsp.additive import noise_bands
from nsynth_instrument.dsp.partials import HOP, RATE, SILENCE, SLOTS
from tests.tones import falling


def loud(audio: np.ndarray, low: float, high: float) -> float:
    """dB of what of it lies between two frequencies, from 0.2 s on."""
    held = audio[RATE // 5 :]
    power = np.abs(np.fft.rfft(held)) ** 2
    at = np.fft.rfftfreq(len(held), 1 / RATE)
    return float(10 * np.log10(power[(at > low) & (at < high)].sum() / len(held) ** 2 + 1e-30))


def test_what_is_drawn_is_as_loud_as_the_noise_that_is_said() -> None:
    of = replace(falling(1000.0, frames=240, noise=-90.0), level=np.full((240, SLOTS), SILENCE, np.float32))
    right = noise_bands(of.noise, np.random.default_rng(0))
    tilted = right + 30 * np.diff(right, prepend=0)  # 40 dB too loud on high
    for low, high in ((50, 150), (300, 600), (2000, 4000), (9000, 18000)):
        for drawn in (right, 0.3 * right, 5 * right, tilted):
            assert loud(residue.held(drawn, of), low, high) == pytest.approx(loud(right, low, high), abs=1.5)
        quiet = 0.1 * right
        assert loud(residue.held(quiet, of, 0.0), low, high) == pytest.approx(loud(quiet, low, high), abs=0.1), "nothing was drawn"
        assert loud(residue.held(0.5 * right, of, 0.5), low, high) == pytest.approx(loud(right, low, high) - 6, abs=1.5)


def test_what_is_right_stays_as_it_is() -> None:
    of = falling(440.0, frames=120, noise=-90.0)
    right = noise_bands(of.noise, np.random.default_rng(0))
    assert np.mean((residue.held(right, of) - right)[RATE // 10 :] ** 2) < 0.03 * np.mean(right**2)
    none = residue.held(np.zeros_like(right), of)
    assert none.shape == right.shape and not none.any()


def test_what_runs_away_is_held_down() -> None:
    of = falling(1760.0, frames=240, noise=-100.0)
    t = np.arange(len(of) * HOP) / RATE
    rumble = (0.05 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)
    assert loud(residue.held(rumble, of), 20, 1000) < loud(rumble, 20, 1000) - 35, "below the fundamental there is noise alone"
    power = np.square(residue.held(rumble, of))
    assert power[: RATE // 100].mean() > 100 * power[RATE // 2 :].mean(), "an onset is freer"
    loudly = replace(of, noise=np.full_like(of.noise, -45.0))
    drifted = noise_bands(loudly.noise, np.random.default_rng(0)) + np.float32(0.02)
    assert abs(residue.held(drifted, loudly).mean()) < 2e-4, "what drifts off zero is no sound"
