"""Pitch measured on sounds whose pitch is known."""

import math

import numpy as np
import pytest

from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.notes import hz

RATE = 48000
TIME = np.arange(4 * RATE) / RATE


def tone(f0: float, *, harmonics: int = 1, first: int = 1, stretch: float = 0.0) -> np.ndarray:
    """Harmonics falling as 1/k; `stretch` as of a stiff string: f_k = k f0 sqrt(1 + stretch k^2)."""
    out = np.zeros(len(TIME))
    for k in range(first, harmonics + first):
        f = k * f0 * math.sqrt(1 + stretch * k * k)
        if f < 0.45 * RATE:
            out += np.sin(2 * np.pi * f * TIME + k) / k
    return (0.3 * out).astype(np.float32)


@pytest.mark.parametrize("pitch", [0, 12, 21, 33, 48, 60, 69, 84, 96, 108, 120, 127])
@pytest.mark.parametrize("cents", [0.0, 13.7, -49.0])
def test_sines_and_harmonics_at_every_key(pitch: int, cents: float) -> None:
    f0 = hz(pitch + cents / 100)
    assert cents_off(tone(f0), RATE, pitch) == pytest.approx(cents, abs=0.05)
    assert cents_off(tone(f0, harmonics=20), RATE, pitch) == pytest.approx(cents, abs=0.05)


def test_a_missing_fundamental_is_heard_by_its_harmonics() -> None:
    assert cents_off(tone(hz(45.2), harmonics=12, first=2), RATE, 45) == pytest.approx(20, abs=0.1)


def test_noise_half_as_strong_does_not_mislead() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, len(TIME)).astype(np.float32)
    assert cents_off(tone(hz(60.1), harmonics=10) + noise, RATE, 60) == pytest.approx(10, abs=2)


@pytest.mark.parametrize("pitch", [24, 38])
def test_what_decays_into_noise_moves_as_it_is_moved(pitch: int) -> None:
    """Two bins that take turns to be the highest, or two harmonics to be the middle one, once moved it by cents at once."""
    rng = np.random.default_rng(pitch)
    noise, apart, phase = 0.003 * rng.standard_normal(len(TIME)), rng.normal(0, 15, 6), rng.random(6)
    waver = np.cumsum(rng.normal(0, 5e-3, (6, len(TIME))), axis=1)

    def moved(cents: float) -> np.ndarray:
        out = noise.copy()
        for k in range(6):
            f = (k + 1) * hz(pitch + (apart[k] + cents) / 100)
            out += 0.1 * np.exp(-TIME * (1 + k)) * np.sin(2 * np.pi * (f * TIME + phase[k]) + waver[k])
        return out.astype(np.float32)

    found = [cents_off(moved(c), RATE, pitch) for c in np.arange(-3, 3, 0.2)]
    assert np.abs(np.diff(found) - 0.2).max() < 0.05


def test_vibrato_counts_by_its_middle() -> None:
    f = hz(69.2)
    depth = f * (2 ** (25 / 1200) - 1)
    sound = np.sin(2 * np.pi * f * TIME + depth / 5.5 * np.sin(2 * np.pi * 5.5 * TIME)).astype(np.float32)
    assert cents_off(sound, RATE, 69) == pytest.approx(20, abs=1.5)


def test_a_stiff_string_is_near_its_fundamental() -> None:
    assert cents_off(tone(hz(40), harmonics=10, stretch=2e-4), RATE, 40) == pytest.approx(0, abs=5)


def test_a_struck_sound_that_decays() -> None:
    sound = tone(hz(60.05), harmonics=8) * np.exp(-6 * TIME).astype(np.float32)
    assert cents_off(sound, RATE, 60) == pytest.approx(5, abs=0.1)


def test_another_rate_and_a_short_sound() -> None:
    time = np.arange(8000) / 16000
    assert cents_off(np.sin(2 * np.pi * hz(60) * time).astype(np.float32), 16000, 60) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("pitch", range(0, 128, 7))
def test_noise_has_no_pitch(pitch: int) -> None:
    noise = np.random.default_rng(pitch).normal(0, 0.1, len(TIME)).astype(np.float32)
    assert math.isnan(cents_off(noise, RATE, pitch))


def test_nor_have_silence_clicks_nor_another_note() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    for sound, pitch in (
        (np.zeros(RATE, np.float32), 60),
        (click, 60),
        (tone(hz(61.5)), 60),
        (tone(hz(48)), 60),
        (TIME[:10], 60),
    ):
        assert math.isnan(cents_off(np.asarray(sound, np.float32), RATE, pitch))
