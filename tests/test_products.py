"""Products whose rows do not depend on each other."""

import numpy as np
import pytest

from nsynth_instrument.dsp.products import Matrix


@pytest.mark.parametrize(("inputs", "outputs"), [(498, 640), (96, 384), (2000, 448), (7, 3)])
def test_a_row_is_the_same_wherever_it_stands_and_however_many_there_are(inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(inputs)
    x, w = rng.normal(size=(61, inputs)).astype(np.float32), rng.normal(size=(outputs, inputs)).astype(np.float32)
    matrix, exact = Matrix(w.T), x.astype(np.float64) @ w.T.astype(np.float64)
    whole = matrix(x)
    assert np.abs(whole - exact).max() < 3e-6 * np.abs(x).max() * np.abs(w).max() * inputs
    order = rng.permutation(len(x))
    assert np.array_equal(matrix(x[order]), whole[order])
    for n in (1, 2, 3, 5, 12, 60):
        assert np.array_equal(matrix(x[7 : 7 + n]), whole[7 : 7 + n])
    assert matrix(x[:0]).shape == (0, outputs)


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="8 numbers a row, where"):
        Matrix(np.ones((6, 2), np.float32))(np.ones((1, 8), np.float32))
