"""The spectrum that features are expected to have: that of what is synthesised of them, and how it moves with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp.additive import synthesise
from nsynth_instrument.dsp.distance import spectrogram
from nsynth_instrument.dsp.lobes import BINS, HISS, SIZE, TONE, Spectrum
from nsynth_instrument.dsp.partials import BANDS, HOP, SLOTS, Partials


def some(rng: np.random.Generator, frames: int = 200) -> Partials:
    """Partials of 300 Hz, the first loudest, the last under the noise."""
    level = np.tile(-20 - 1.5 * np.arange(SLOTS) + rng.uniform(-6, 6, SLOTS), (frames, 1)).astype(np.float32)
    level[:, 0] = 0
    offset = np.tile(rng.uniform(-0.2, 0.2, SLOTS), (frames, 1)).astype(np.float32)
    noise = np.tile(np.linspace(-70, -80, BANDS), (frames, 1)).astype(np.float32)
    return Partials(300.0, level, offset, noise, np.zeros(frames, np.float32))


def test_expected_is_what_is_synthesised() -> None:
    rng = np.random.default_rng(0)
    note = some(rng)
    seen = Spectrum(note)
    audio = np.mean([spectrogram(synthesise(note, np.random.default_rng(i)), SIZE, HOP)[20:180, :BINS] ** 2 for i in range(4)], 0)
    true = 10 * np.log10(audio.mean(axis=0) / (SIZE / 4) ** 2)
    off = (seen.target[50] - true)[2:][seen.target[50, 2:] > true.max() - 66]
    assert len(off) > 300
    assert abs(np.median(off)) < 0.2
    assert np.mean(np.abs(off) < 1) > 0.9


@pytest.mark.parametrize("louder", [False, True])
def test_pulls_are_how_the_distance_moves(louder: bool) -> None:
    rng = np.random.default_rng(1)
    note = some(rng, 8)
    seen = Spectrum(note)
    said = [x + rng.normal(0, s, x.shape).astype(np.float32) for x, s in ((note.level, 4), (note.offset, 0.02), (note.noise, 4))]
    if louder:  # in every bin, where noise counts in full
        said = [note.level + np.abs(said[0] - note.level), note.offset, note.noise + np.abs(said[2] - note.noise)]
    said[0][:, 0] = 0
    pulls = seen.gradient(said[0], said[1], said[2], 0, 1)

    def distance(level: np.ndarray, offset: np.ndarray, noise: np.ndarray) -> float:
        far = Spectrum(replace(note, level=level, offset=offset, noise=noise)).target - seen.target
        width = TONE + HISS * np.sqrt(seen.filled)
        return float((width * np.log(np.cosh(far / width))).sum() / seen.count)

    for i, size in ((0, 0.02), (2, 0.02)) if louder else ((0, 0.02), (1, 0.002)):
        way = np.sign(pulls[i]) * np.float32(size) * (np.arange(pulls[i].shape[1]) > 0)
        ahead, behind = ([x + sign * way if j == i else x for j, x in enumerate(said)] for sign in (1, -1))
        np.testing.assert_allclose(2 * (way * pulls[i]).sum(), distance(*ahead) - distance(*behind), rtol=0.1)


def test_noise_is_not_to_stand_in_for_tones() -> None:
    note = some(np.random.default_rng(2), 8)
    by_level, _, by_noise = Spectrum(note).gradient(note.level - 10 * (np.arange(SLOTS) < 15), note.offset, note.noise, 0, 1)
    assert by_level.sum() < -0.04
    assert by_noise.sum() > 0.1 * by_level.sum()


def test_what_is_said_as_it_was_heard_pulls_nowhere() -> None:
    note = some(np.random.default_rng(2), 8)
    for pull in Spectrum(note).gradient(note.level, note.offset, note.noise, 1, 2):
        assert np.abs(pull).max() < 1e-5
