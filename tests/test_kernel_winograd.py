"""Winograd's convolution of frames against the taps one by one."""

from __future__ import annotations

import numpy as np
import pytest

from nsynth_instrument.runtimes.kernel_winograd import Convolution


@pytest.mark.parametrize("dilation", [1, 2, 3, 16])
@pytest.mark.parametrize("frames", [1, 3, 4, 7, 64, 125])
def test_three_taps_are_what_they_are_one_by_one(frames: int, dilation: int) -> None:
    """37 and 29 are no whole vectors."""
    rng = np.random.default_rng(frames)
    x, bias = rng.standard_normal((frames, 37), dtype=np.float32), rng.standard_normal(29, dtype=np.float32)
    matrix = rng.standard_normal((3 * 37, 29), dtype=np.float32)
    t = np.arange(frames)
    beside = [np.maximum(0, t - dilation), t, np.minimum(frames - 1, t + dilation)]
    wanted = np.concatenate([x[at] for at in beside], axis=1).astype(np.float64) @ matrix + bias
    found = Convolution(matrix, bias)(x, dilation)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 1e-5 * np.sqrt(3 * 37)
