"""The filter bank gives back what it was given, and puts each tone where it belongs."""

import numpy as np
import pytest

from nsynth_instrument.dsp import pqmf


@pytest.mark.parametrize("bands", [1, 2, 4, 8])
def test_reconstruction(bands: int) -> None:
    x = np.random.default_rng(0).normal(0, 0.1, (3, 4096)).astype(np.float32)
    signals = pqmf.analysis(x, bands)
    assert signals.shape == (3, 4096 // bands, bands)
    y = pqmf.synthesis(signals, bands)
    assert y.shape == x.shape
    inside = slice(pqmf.TAPS * bands, -pqmf.TAPS * bands)
    error = np.square(y - x)[:, inside].mean() / np.square(x).mean()
    assert 10 * np.log10(error + 1e-30) < -60


@pytest.mark.parametrize("band", range(4))
def test_a_tone_sounds_in_its_band_alone(band: int) -> None:
    t = np.arange(8000) / 16000
    x = np.sin(2 * np.pi * (1000 + 2000 * band) * t).astype(np.float32)[None]
    power = np.square(pqmf.analysis(x, 4)[0, 100:-100]).mean(axis=0)
    assert power[band] == pytest.approx(0.5, rel=0.01)
    assert np.delete(power, band).max() < 1e-5


def test_lengths_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        pqmf.analysis(np.zeros((1, 10), np.float32), 4)
