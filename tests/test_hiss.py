"""Hiss: noise where the recording has none, and only there."""

import numpy as np
import pytest

from nsynth_instrument.dsp.analysis import analyse, between
from nsynth_instrument.dsp.hiss import CLEAN, PERIODS, floors, hiss
from nsynth_instrument.dsp.partials import BAND_CENTRES, BAND_EDGES, RATE
from nsynth_instrument.notes import hz

PITCH = 57


def tone(noise: float = 0.0, *, low: float = 0.0, high: float = 20000.0, gain: float = 1.0) -> np.ndarray:
    """3 s of six harmonics of RMS 0.1 with noise of that RMS between `low` and `high` Hz."""
    t = np.arange(3 * RATE) / RATE
    x = sum(np.sin(2 * np.pi * k * hz(PITCH) * t + k) / k for k in range(1, 7))
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(t)))
    f = np.fft.rfftfreq(len(t), 1 / RATE)
    spectrum[(f < low) | (f > high)] = 0
    n = np.fft.irfft(spectrum)
    return (gain * (0.1 * x / x.std() + noise * n / max(n.std(), 1e-9))).astype(np.float32)


def test_the_floor_is_the_noise_in_its_band() -> None:
    band = int(np.searchsorted(BAND_CENTRES, 5000))
    share = (BAND_EDGES[band + 1] - BAND_EDGES[band]) / 20000
    found = floors(tone(0.01), hz(PITCH))[band]
    assert found == pytest.approx(-20 + 10 * np.log10(share), abs=1)
    assert floors(tone(0.01, gain=0.01), hz(PITCH))[band] == pytest.approx(found, abs=0.3), "it does not depend on the level"


def test_a_tone_alone_has_no_hiss_and_what_the_original_has_is_none() -> None:
    assert hiss(tone(), tone(), PITCH) < -60
    windy = tone(0.03)
    assert hiss(tone(), windy, PITCH) > CLEAN
    loud = hiss(windy, windy, PITCH)
    assert np.isnan(loud) or loud <= CLEAN + 0.1


def test_hiss_is_found_in_one_band_alone() -> None:
    # Of 2 kHz of noise at -28 dB, a band of 650 Hz holds a third.
    assert hiss(tone(), tone(0.004, low=6000, high=8000), PITCH) == pytest.approx(-28 - 5, abs=2)
    original = tone(0.02, low=6000, high=8000)
    assert hiss(original, original, PITCH) < CLEAN + 0.1


def test_it_is_the_noise_of_the_analysis() -> None:
    note = analyse(tone(0.01), PITCH, noise_periods=(PERIODS,))
    np.testing.assert_array_equal(between(tone(0.01), note.f0, (PERIODS,))[1], note.noise)
