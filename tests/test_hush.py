"""What would hardly be heard beside a note."""

from __future__ import annotations

import numpy as np
import pytest

from nsynth_instrument.dsp.hush import hushed
from nsynth_instrument.dsp.partials import BAND_EDGES, SILENCE, SLOTS, Partials


@pytest.mark.parametrize(("known", "loud", "soft", "width"), [(True, -34.0, -42.0, 2.0), (False, -33.0, -44.0, 2.75)])
def test_noise_that_would_hardly_be_heard_beside_a_note_is_not(known: bool, loud: float, soft: float, width: float) -> None:
    frames, f0 = 250, 220.0
    level = np.full((frames, SLOTS), SILENCE, np.float32)
    level[:, 0] = -3.0
    beside = np.linspace(-60, -10, 64)  # of each band, dB re the sine's power, which is at -6
    noise = np.tile(beside - 6.0 - 10 * np.log10(np.diff(BAND_EDGES)), (frames, 1)).astype(np.float32)
    note = Partials(f0, level, np.zeros_like(level), noise, np.zeros(frames, np.float32))
    change = (hushed(note, known=known).noise - noise)[100]
    total = 10 * np.log10(1 + (10 ** (beside / 10)).sum())
    at = beside - total
    assert np.abs(change[(at < soft - 0.2) | (at > loud + 0.2)]).max() < 0.01, "what is heard, and what is silent, stays"
    between = (at > soft + 0.2) & (at < loud - width - 0.2)
    assert between.sum() >= 5
    np.testing.assert_allclose((at + change)[between], soft, atol=0.1)
    assert np.all(np.diff(at + change)[at[1:] > loud - width] > 0), "a louder band is not softer than the next"
