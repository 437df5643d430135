"""Codes and morphs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument.codes import Codes, Morph, frames_for
from nsynth_instrument.errors import UsageError

UNIT = st.floats(0, 1)


def test_four_seconds_are_125_frames() -> None:
    assert frames_for(4.0) == 125
    assert frames_for(4.0001) == 126
    assert frames_for(0.0) == 1
    assert Codes(np.zeros((125, 16), np.float32)).seconds == 4.0


@pytest.mark.parametrize("shape", [(125,), (0, 16), (125, 15), (1, 125, 16)])
def test_codes_have_one_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="codes are"):
        Codes(np.zeros(shape, np.float32))


@given(UNIT)
def test_between_two(mix: float) -> None:
    assert Morph.between("a", "b", mix).weights == (("a", 1 - mix), ("b", mix))


def test_between_a_sound_and_itself_is_the_sound() -> None:
    assert Morph.between("a", "a", 0.3).weights == (("a", 1.0),)


@given(UNIT, UNIT)
def test_corners_sum_to_one_and_meet_the_corners(x: float, y: float) -> None:
    assert sum(w for _, w in Morph.corners("a", "b", "c", "d", x, y).weights) == pytest.approx(1)
    for name, at in (("a", (0, 0)), ("b", (1, 0)), ("c", (0, 1)), ("d", (1, 1))):
        assert dict(Morph.corners("a", "b", "c", "d", *at).weights)[name] == 1


def test_equal_corners_add_up() -> None:
    assert dict(Morph.corners("a", "b", "a", "b", 0.25, 0.6).weights) == pytest.approx({"a": 0.75, "b": 0.25})


@pytest.mark.parametrize("mix", [-0.01, 1.01, float("nan"), float("inf")])
def test_mix_out_of_range(mix: float) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Morph.between("a", "b", mix)
    with pytest.raises(UsageError, match="out of range"):
        Morph.corners("a", "b", "c", "d", mix, 0.5)


@pytest.mark.parametrize(
    "weights", [(), (("a", 0.5),), (("a", 1.5), ("b", -0.5)), (("a", 0.5), ("a", 0.5)), (("a", float("nan")),)]
)
def test_weights_that_cannot_be(weights: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(UsageError):
        Morph(weights)
