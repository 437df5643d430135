"""Products of matrices of which a row is the same to the bit whatever rows are beside it.

BLAS adds up a row in one order or another by where it stands and how many there are; what is asked for note by note, and together
with others, then differs in its last digits.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from .wide import wide

Floats = npt.NDArray[np.float32]

ROWS, TERMS, COLUMNS = 4, 2, 64
"""That are worked on at once: sums of so many rows and columns stay in registers and in the nearest cache."""


class Matrix:
    """A matrix (inputs, outputs) that rows are multiplied by."""

    def __init__(self, matrix: Floats) -> None:
        self._outputs = matrix.shape[1]
        more = [(0, -n % of) for n, of in zip(matrix.shape, (TERMS, COLUMNS), strict=True)]
        self._matrix = np.ascontiguousarray(np.pad(matrix, more), np.float32)

    def __call__(self, x: Floats) -> Floats:
        """x (n, inputs) -> (n, outputs), float32. Raises ValueError for other inputs."""
        rows = np.zeros((len(x) + -len(x) % ROWS, len(self._matrix)), np.float32)
        if not 0 <= len(self._matrix) - x.shape[1] < TERMS:
            raise ValueError(f"{x.shape[1]} numbers a row, where {len(self._matrix)} go in")
        rows[: len(x), : x.shape[1]] = x
        out = np.empty((len(rows), self._matrix.shape[1]), np.float32)
        _multiply(rows, self._matrix, out)
        return out[: len(x), : self._outputs]


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _multiply(x, w, out):  # type: ignore[no-untyped-def]
    """x (rows, inputs) times w (inputs, outputs), all of them whole multiples of what is worked on at once."""
    wide()
    sums = np.empty(ROWS * COLUMNS, np.float32)  # one array: LLVM sees that its rows are apart
    for left in range(0, w.shape[1], COLUMNS):
        for top in range(0, len(x), ROWS):
            for j in range(len(sums)):
                sums[j] = 0
            for k in range(0, len(w), TERMS):
                a, b, c, d = x[top, k], x[top + 1, k], x[top + 2, k], x[top + 3, k]
                e, f, g, h = x[top, k + 1], x[top + 1, k + 1], x[top + 2, k + 1], x[top + 3, k + 1]
                upper, lower = w[k, left : left + COLUMNS], w[k + 1, left : left + COLUMNS]
                for j in range(COLUMNS):
                    sums[j] = (sums[j] + a * upper[j]) + e * lower[j]
                    sums[COLUMNS + j] = (sums[COLUMNS + j] + b * upper[j]) + f * lower[j]
                    sums[2 * COLUMNS + j] = (sums[2 * COLUMNS + j] + c * upper[j]) + g * lower[j]
                    sums[3 * COLUMNS + j] = (sums[3 * COLUMNS + j] + d * upper[j]) + h * lower[j]
            for i in range(ROWS):
                for j in range(COLUMNS):
                    out[top + i, left + j] = sums[i * COLUMNS + j]
