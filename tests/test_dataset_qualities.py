import functools

import numpy as np
import pytest

from nsynth_instrument.dataset.example import QUALITIES
from nsynth_instrument.dataset.qualities import estimate
from nsynth_instrument.notes import hz


def has(audio, rate, pitch):
    found = estimate(audio.astype(np.float32), rate=rate, pitch=pitch)
    assert len(found) == 10
    return {name for name, on in zip(QUALITIES, found, strict=True) if on}


@functools.cache
def sounds(rate, pitch):
    """One sound made for each quality, and a plain one that has none. (Distortion at 330 Hz lies above 8 kHz.)"""
    rng = np.random.default_rng(5)
    t = np.arange(4 * rate) / rate
    f0 = hz(pitch)

    def partials(amplitudes):
        return sum(a * np.sin(2 * np.pi * f0 * k * t + k * k) for k, a in enumerate(amplitudes, 1) if k * f0 < rate / 2)

    held = np.minimum(t / 0.03, 1) * np.where(t < 3, 1, np.exp(-(t - 3) * 60))
    sine, body = np.sin(2 * np.pi * f0 * t), partials([1, 0.5, 0.3, 0.15])
    click = rng.normal(size=t.size) * np.exp(-t * 120)
    release = np.where(t < 3, 1, 10 ** (-(t - 3) * 25 / 20))
    return {
        "": body * held,
        "bright": partials([0.5] * 30) * held,
        "dark": sine * held,
        "distortion": np.clip(6 * partials([1, 0.7, 0.4]), -1, 1) * held,
        "fast_decay": body * np.exp(-t * 4) * held,
        "long_release": body * np.minimum(t / 0.03, 1),
        "multiphonic": (body + np.sin(2 * np.pi * f0 * 1.42 * t) * 1.3) * held,
        "nonlinear_env": body * held * np.minimum(0.1 + t, 1),
        "percussive": body * (0.05 + np.exp(-t * 12)) * held + click,
        "reverb": body * np.minimum(t / 0.03, 1) * release,
        "tempo-synced": body * held * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t)),
    }


MADE = [(quality, pitch) for quality in ("", *QUALITIES) for pitch in (48, 64) if (quality, pitch) != ("distortion", 64)]


@pytest.mark.parametrize(("quality", "pitch"), MADE)
def test_a_sound_made_for_a_quality_has_it_at_any_rate_and_level(quality, pitch):
    low, high = (sounds(rate, pitch)[quality] for rate in (16000, 48000))
    expected = {quality} - {""}
    for audio, rate in ((low, 16000), (high, 48000), (0.01 * low, 16000)):
        found = has(audio, rate, pitch)
        assert expected <= found
        if not expected:
            assert not found


def test_silence_and_noise_do_no_harm():
    assert len(has(np.zeros(64000), 16000, 60)) <= 10
    assert len(has(np.random.default_rng(1).normal(size=64000), 16000, 60)) <= 10
