"""The published mu-law, to the digit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument.dsp import mulaw


def test_known_values_of_the_published_code() -> None:
    heard = mulaw.decode(np.array([129, 127, 255, 0, 128]))
    np.testing.assert_allclose(heard, [2.6329546e-4, -8.5871368e-5, 0.97848809, -0.97848809, 0], rtol=5e-6)
    assert heard[4] == 0
    np.testing.assert_array_equal(mulaw.companded(np.array([0, 128, 255])), np.float32([-1, 0, 127 / 128]))


def test_full_scale_and_beyond_stay_within_the_classes() -> None:
    np.testing.assert_array_equal(mulaw.encode(np.array([1.0, 2.0, -1.0, -2.0, 0.0, 1e-12, -1e-12])), [255, 255, 0, 0, 128, 128, 128])


@given(st.integers(0, 255))
def test_every_class_is_its_own_neighbourhood(k: int) -> None:
    assert mulaw.encode(mulaw.decode(np.array([k])))[0] == k


@given(st.floats(-1, 1, width=32))
def test_classes_rise_with_the_audio_and_stay_near_it(x: float) -> None:
    k = mulaw.encode(np.array([x, min(1.0, x + 0.01)]))
    assert k[0] <= k[1]
    # One step, 1/128 of the companded scale, is at most 4.5 % of what it stands for, and 3e-4 near silence.
    assert abs(mulaw.decode(k)[0] - x) <= 0.045 * abs(x) + 3e-4
